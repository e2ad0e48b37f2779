// SPDX-License-Identifier: MIT
// verify.cpp — `haze verify`: a network held against numbers recorded by another framework.
#include "model/verify/verify.h"

#include <cmath>
#include <cstdio>
#include <optional>

#include "apps/command.h"
#include "apps/config/find.h"
#include "apps/data/input_file.h"
#include "apps/device.h"
#include "apps/flag_groups.h"
#include "apps/json_writer.h"
#include "apps/paths.h"
#include "apps/standard_output.h"
#include "engine/files/safetensors.h"

namespace haze::apps {
namespace {

struct VerifyOptions {
  std::string config, weights, fixture, expect, output;
  Precision precision = Precision::f32;
  bool json = false, fusion = true;
};

void add_flags(Flags& flags, VerifyOptions& v) {
  flags.group("What to verify");
  flags.input("--config", v.config, "FILE|NAME|-", "configuration of the network");
  flags.input("--weights", v.weights, "FILE", "safetensors under the system's own names");
  flags.input("--fixture", v.fixture, "FILE", "the recorded numbers");
  flags.input("--expect", v.expect, "FILE", "a training record: the weights after it");
  flags.group("Result");
  flags.output("--output", v.output, OutputKind::tensors, "FILE",
               "write what was computed, under the record's names");
  flags.boolean("--json", v.json, "one JSON document on standard output");
  compute_flags(flags, v.fusion);
  flags.choice("--precision", v.precision,
               "of activations; bf16: within twice the recorded error [f32]");
}

/// Of how many files a name says it is one: 3 of model-00001-of-00003.safetensors, else 1.
int shards_of(const std::string& path) {
  const std::string name = last_name(path);
  const auto at = name.rfind("-of-");
  if (at == name.npos || at < 6 ||
      leading_digits(std::string_view(name).substr(at - 5)).size() != 5)
    return 1;
  return parse_number<int>(leading_digits(std::string_view(name).substr(at + 4))).value_or(1);
}

/// A whole file; integers become floats. NaN is let through from a record: it must fail there.
model::StateDict read_all(const std::string& flag, const std::string& path, bool allow_nonfinite) {
  if (path.empty()) throw InputError(cat(flag, ": not given; a safetensors file"));
  const engine::SafetensorsReader file(engine::disk(), path);
  if (const int shards = shards_of(path); shards > 1)
    throw InputError(cat(flag, ": ", printable(path), "; one of ", shards,
                         " files of a model: load them all and save their tensors as one file"));
  model::StateDict state;
  for (const engine::SafetensorsEntry& entry : file.tensors()) {
    model::HostTensor& tensor = state[entry.name];
    tensor.shape = entry.shape;
    if (entry.dtype.starts_with("I") || entry.dtype.starts_with("U") || entry.dtype == "BOOL") {
      const auto whole = file.read_i32(entry);
      tensor.values.assign(whole.begin(), whole.end());
    } else {
      tensor.values = file.read_f32(entry, allow_nonfinite);
    }
  }
  return state;
}

void write_all(const std::string& path, const model::StateDict& state) {
  std::vector<engine::SafetensorsTensor> tensors;
  for (const auto& [name, tensor] : state)
    tensors.push_back({name, tensor.shape, tensor.values.data()});
  engine::write_safetensors(engine::disk(), path, std::move(tensors));
}

std::string as_json(const model::Verification& result) {
  JsonWriter w;
  w.begin_object().field("record", model::name_of(result.kind)).field("ok", result.ok());
  w.key("tensors").begin_array();
  for (const model::Comparison& c : result.comparisons) {
    w.begin_object().field("name", c.name).field("max_absolute", c.max_difference);
    w.field("max_relative", c.relative()).field("rms", c.rms_difference);
    w.field("largest", c.largest);
    if (std::isfinite(c.tolerance)) w.field("tolerance", c.tolerance);
    if (std::isfinite(c.rms_tolerance)) w.field("rms_tolerance", c.rms_tolerance);
    w.field("ok", c.ok).end_object();
  }
  return w.end_array().end_object().text() + "\n";
}

std::string as_text(const model::Verification& result) {
  int width = 6, failed = 0;
  for (const model::Comparison& c : result.comparisons) {
    width = std::max(width, int(c.name.size()));
    failed += !c.ok;
  }
  char line[400];
  std::snprintf(line, sizeof line, "%-*s %12s %12s %10s %10s %10s\n", width, "tensor",
                "max absolute", "max relative", "allowed", "rms", "allowed");
  std::string text = line;
  for (const model::Comparison& c : result.comparisons) {
    std::snprintf(line, sizeof line, "%-*s %12.3e %12.3e %10.1e %10.1e", width, c.name.c_str(),
                  c.max_difference, c.relative(), c.tolerance, c.rms_difference);
    text += line;
    std::snprintf(line, sizeof line, " %10.1e", c.rms_tolerance);
    text += cat(std::isfinite(c.rms_tolerance) ? line : "          -",
                c.ok ? "  ok\n" : "  MISMATCH\n");
  }
  return text + cat(model::name_of(result.kind), " record: ",
                    failed ? cat(failed, " of ", result.comparisons.size(), " tensors differ\n")
                           : cat("all ", result.comparisons.size(), " tensors agree\n"));
}

int run(const VerifyOptions& options, const Program& program) {
  if (options.output == "-") throw InputError("--output: -; a file: standard output has the table");
  if (options.config.empty())
    throw InputError("--config: not given; the network's configuration, a JSON file");
  const RunConfig config = resolve(load_config(options.config));
  const Stream stream = in_precision(open_device(program.common), options.precision);
  const auto weights = read_all("--weights", options.weights, false);
  const auto record = read_all("--fixture", options.fixture, true);
  std::optional<model::StateDict> expected;
  if (!options.expect.empty()) expected = read_all("--expect", options.expect, true);

  engine::Context context(stream, activations_of(options.precision));
  context.fusion = options.fusion;
  program.console.detail(computing_on(stream, context.fusion));
  const model::Verification result = model::verify(context, config.model, config.diffusion, weights,
                                                   record, expected ? &*expected : nullptr);
  if (!options.output.empty()) write_all(options.output, result.computed);
  print(options.json ? as_json(result) : as_text(result));
  return result.ok() ? 0 : 1;
}

}  // namespace

Command verify_command() {
  return {
      .name = "verify",
      .summary = "hold a network against numbers recorded elsewhere",
      .examples =
          R"(  haze verify --config net.json --weights net.safetensors --fixture net.forward.safetensors
  haze verify --config net.json --weights net.safetensors --fixture net.train.safetensors \
      --expect net.trained.safetensors
)",
      .about =
          R"(Recognises a forward, gradient, sampling or training record by its tensors' names, computes it
again and prints the largest differences. Exit 1 if one is over the tolerance.)",
      .action = {add_flags, run}};
}

}  // namespace haze::apps
