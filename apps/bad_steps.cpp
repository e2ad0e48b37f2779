// SPDX-License-Identifier: MIT
#include "apps/bad_steps.h"

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "apps/checkpointing.h"
#include "engine/files/new_file.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

constexpr const char* kFile = "/bad-step.json";

const char* word_of(model::Skip skip) {
  return skip == model::Skip::spike ? "spike" : skip == model::Skip::loss ? "loss" : "gradient";
}

std::string json_of(const std::string& folder, const BadStep& bad, const BeforeStep& before) {
  JsonWriter w;
  w.begin_object().field("step", bad.step).field("loss", bad.result.loss);
  w.field("grad_norm", bad.result.grad_norm);
  add_fields(w, bad);
  w.field("seed", before.meta.seed).key("images").begin_array();
  for (const std::int32_t image : before.images) w.value(image);
  w.end_array().field("dataset", before.meta.dataset).field("version", before.meta.version);
  w.field("checkpoint", engine::checkpoint_path(folder, before.meta.step));
  w.field("command", "haze train --resume --out " + folder);
  std::string config = to_json(before.config);
  config.pop_back();  // the line's end
  return w.key("config").raw(config).end_object().text() + "\n";
}

}  // namespace

BadStep look_at(std::uint64_t step, const model::StepResult& result, const model::Trainer& trainer,
                const engine::Parameters& parameters) {
  BadStep bad{step, result, "", 0, parameters.count()};
  if (result.skip == model::Skip::spike) return bad;
  const auto found = trainer.nonfinite_gradients();
  bad.bad_parameters = found.size();
  // The backward pass goes from the network's end to its beginning, and so does what is not finite.
  if (!found.empty()) bad.parameter = parameters[found.back()].name;
  return bad;
}

std::string why(const BadStep& bad) {
  const model::StepResult& r = bad.result;
  if (r.skip == model::Skip::spike)
    return cat("the gradient's norm is ", format_number("%.3g", r.grad_norm), ", above ",
               format_number("%.3g", r.limit), ", which train.spike_factor allows");
  if (bad.parameter.empty())
    return r.skip == model::Skip::loss
               ? std::string("the loss is not a finite number")
               : cat("the gradient's norm is ", format_number("%.3g", r.grad_norm),
                     ": its square is not a finite number");
  return cat(r.skip == model::Skip::loss ? "the loss" : "the gradient",
             " is not a finite number, the gradient first in ", bad.parameter, " (",
             bad.bad_parameters, " of ", bad.parameters, " parameters)");
}

void add_fields(JsonWriter& row, const BadStep& bad) {
  row.field("skipped", word_of(bad.result.skip));
  if (bad.result.skip == model::Skip::spike) row.field("norm_limit", bad.result.limit);
  if (bad.parameter.empty()) return;
  row.field("parameter", bad.parameter).field("bad_parameters", bad.bad_parameters);
}

std::string keep_bad_step(const std::string& run, const BadStep& bad, const BeforeStep& before,
                          const engine::Parameters& parameters) {
  char name[40];
  std::snprintf(name, sizeof name, "/bad-step-%08llu", static_cast<unsigned long long>(bad.step));
  const std::string folder = run + name;
  engine::FileSystem& disk = engine::disk();
  const engine::RunLock lock(disk, folder);
  engine::CheckpointWriter writer(disk, folder);
  save_state(writer, before.meta, parameters, before.trainer);
  engine::write_file_atomically(disk, folder + "/config.json", to_json(before.config));
  engine::write_file_atomically(disk, folder + kFile, json_of(folder, bad, before));
  return folder;
}

bool is_bad_step(const std::string& run) {
  std::error_code none;
  return std::filesystem::exists(run + kFile, none);
}

}  // namespace haze::apps
