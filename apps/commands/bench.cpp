// SPDX-License-Identifier: MIT
// bench.cpp — `haze bench`: what is timed, and how samples become figures.
#include "apps/commands/bench.h"

#include <cstdio>

#include "apps/device.h"
#include "apps/flag_groups.h"
#include "apps/sample_grid.h"
#include "apps/standard_output.h"
#include "apps/version.h"

namespace haze::apps {

JsonWriter bench_document(const BenchOptions& options, const Stream& stream,
                          const Program& program) {
  JsonWriter w;
  w.begin_object().field("schema", "haze-bench/1").field("what", options.what);
  w.key("meta").begin_object().field("version", version()).field("commit", commit());
  w.key("argv").begin_array();
  for (const std::string& argument : program.arguments) w.value(argument);
  w.end_array().end_object().field("device", device_description(stream));
  return w;
}

void bench_deliver(const BenchOptions& options, const std::string& json) {
  const std::string line = json + "\n";
  if (options.json) print(line);
  if (!options.out.empty())
    write_output(options.out, std::vector<std::uint8_t>(line.begin(), line.end()));
}

namespace {

void add_flags(Flags& flags, BenchOptions& b) {
  flags.group("What to time");
  flags.text("WHAT", b.what, "", "step, sample, kernels (each alone), or compare two results");
  flags.input("BEFORE", b.before, "", "with compare: what --out or --json wrote");
  flags.input("AFTER", b.after, "", "and what it wrote then");
  flags.input("--config", b.config, "FILE|NAME|-", "configuration of network and training");
  flags.settings(b.settings);
  flags.key("--batch", "N", "train.batch_size", b.settings, "images per step [configuration's]");
  precision_key(flags, b.settings);
  flags.number("--steps", b.steps, 1, 100000, "steps to time [20]");
  flags.number("--warmup", b.warmup, 0, 100000, "steps of training before them [4]");
  flags.group("Kernels");
  flags.list("-k,--kernel", b.kernels, "NAME[,NAME...]", "kernels, or how their names begin [all]",
             ',');
  flags.list("--shape", b.shapes, "n=N,h=H,c=C,co=C",
             "images, height and width, channels in and out; may be repeated");
  flags.text("--explain", b.explain, "NAME",
             "trace this kernel in the emulator: traffic, bank conflicts, races");
  flags.boolean("--list", b.list,
                "names of the kernels; KERNEL/VERSION is an earlier version of one");
  flags.group("Result");
  flags.boolean("--json", b.json, "one JSON document on standard output, with every sample");
  flags.output("--out", b.out, OutputKind::text, "FILE",
               "write that JSON document here; the table comes all the same");
  flags.number("--fail-on", b.fail_on, 0, 1000,
               "compare: exit code 1 if a result is slower by more than N % [no]", '%');
  compute_flags(flags, b.fusion);
}

int run(const BenchOptions& options, const Program& program) {
  const CommonOptions& common = program.common;
  if (options.what == "compare") {
    common.refuse({"--config", "--set", "--batch", "--precision", "--steps", "--warmup", "--kernel",
                   "--shape", "--explain", "--list", "--out", "--device", "--threads", "--fusion"},
                  options.what, "which computes nothing");
    return bench_compare(options, program);
  }
  if (!options.before.empty())
    throw InputError(cat("bench ", options.what, ": ", options.before, "; files are for compare"));
  if (options.out == "-") throw InputError("--out: -; a file: --json prints the document");
  common.refuse({"--fail-on"}, cat("bench ", options.what), "it belongs to compare");
  if (options.what == "kernels") {
    common.refuse({"--config", "--batch", "--steps", "--warmup", "--fusion"}, options.what,
                  "it belongs to step and sample");
    if (options.list)
      common.refuse({"--kernel", "--shape", "--explain", "--json", "--out"}, "--list",
                    "names alone");
    if (!options.explain.empty())
      common.refuse({"--kernel", "--json", "--out"}, "--explain", "one of the two");
    return bench_kernels(options, program);
  }
  if (options.what == "step" || options.what == "sample") {
    common.refuse({"--kernel", "--shape", "--explain", "--list"}, options.what,
                  "it belongs to kernels");
    if (options.what == "sample")
      common.refuse({"--warmup"}, options.what, "a whole chain goes before those that are timed");
    return bench_steps(options, program);
  }
  throw InputError(
      cat("bench: ", options.what.empty() ? "nothing" : options.what,
          "; what to time is step, sample or kernels; compare holds two results together"));
}

}  // namespace

Command bench_command() {
  return {
      .name = "bench",
      .summary = "time a training step, a sampling step or every kernel; compare",
      .examples = R"(  haze bench step --config mnist
  haze bench sample --config mnist --batch 16 --device cuda
  haze bench kernels -k conv3x3,group_norm --shape n=64,h=16,c=128,co=128
  haze bench kernels --explain group_norm_swish.forward --shape n=1,h=16,c=64,co=64
  haze bench step --config mnist --precision bf16 --batch 64 --json > before.json
  haze bench compare before.json after.json --fail-on 3%
)",
      .about =
          R"(Times steps of a configuration on images of noise, or kernels alone, and prints median, spread
and memory, for kernels also the share of what the device reached at best in the same run,
and on a GPU earlier versions of the kernel, cuDNN and cuBLAS beside it.
Cold: with the caches full of something else, as in a training step; hot: call after call.
scripts/bench-cpu holds the figure against oneDNN alone and against PyTorch.)",
      .action = {add_flags, run}};
}

}  // namespace haze::apps
