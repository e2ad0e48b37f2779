// SPDX-License-Identifier: MIT
#include "apps/checkpointing.h"

#include "apps/data/input_file.h"
#include "apps/paths.h"
#include "kernels/base/text.h"
#include "model/weights.h"

namespace haze::apps {
namespace {

using engine::Tensor;

struct Part {
  const char* prefix;
  Tensor engine::Parameters::*flat;
};
constexpr Part kParts[] = {{"model.", &engine::Parameters::weights},
                           {"ema.", &engine::Parameters::ema},
                           {"adam_m.", &engine::Parameters::adam_m},
                           {"adam_v.", &engine::Parameters::adam_v}};

/// The tensors under a prefix, without it; their values are moved out.
model::StateDict take(std::vector<engine::LoadedTensor>& tensors, const std::string& prefix) {
  model::StateDict state;
  for (engine::LoadedTensor& t : tensors)
    if (t.name.starts_with(prefix))
      state[t.name.substr(prefix.size())] = {t.shape, std::move(t.values)};
  return state;
}

}  // namespace

engine::SaveReport save_state(engine::CheckpointWriter& writer, const engine::CheckpointMeta& meta,
                              const engine::Parameters& parameters,
                              const model::StateDict& trainer) {
  std::vector<model::StateDict> states;  // own the values until they are written
  std::vector<engine::CheckpointTensor> tensors;
  for (const Part& part : kParts) {
    if (!(parameters.*part.flat)) continue;
    states.push_back(model::to_state_dict(parameters, parameters.*part.flat));
    for (const auto& [name, tensor] : states.back())
      tensors.push_back({part.prefix + name, tensor.shape, tensor.values});
  }
  for (const auto& [name, tensor] : trainer)
    tensors.push_back({"train." + name, tensor.shape, tensor.values});
  return writer.save(meta, tensors);
}

model::StateDict restore_state(engine::Checkpoint& checkpoint, engine::Parameters& parameters,
                               Stream stream, const RunConfig& config) {
  auto tensors = std::move(checkpoint.tensors);
  checkpoint.tensors.clear();
  const bool ema = config.train.keeps_ema();
  std::vector<std::pair<Part, model::StateDict>> states;
  for (const Part& part : kParts) {
    if (part.flat == &engine::Parameters::ema && !ema) continue;
    states.emplace_back(part, take(tensors, part.prefix));
    try {
      model::check_state_dict(parameters, states.back().second);
    } catch (const InputError& e) {
      throw InputError(cat(checkpoint.path, ": ", part.prefix, "*: ", e.what()));
    }
  }
  parameters.allocate(stream, config.seed, true, ema, config.activations());
  for (auto& [part, state] : states) {
    model::from_state_dict(parameters, parameters.*part.flat, state);
    state.clear();
  }
  return take(tensors, "train.");
}

ClassNames class_names_of(const engine::CheckpointMeta& meta) {
  ClassNames names;
  if (meta.classes.empty()) return names;
  for (const std::string_view name : split(meta.classes, '\n')) names.push_back(printable(name));
  return names;
}

TrainedWeights load_weights(const std::string& path, bool ema, bool ema_asked) {
  if (path.empty()) throw InputError("--checkpoint: not given; a run folder or a checkpoint file");
  const PathKind kind = kind_of("--checkpoint", path);
  const bool folder = kind == PathKind::folder;
  if (kind == PathKind::none)
    throw InputError(cat("--checkpoint: ", printable(path), "; no such file or folder"));
  engine::FileSystem& disk = engine::disk();
  const auto load = [&](const char* prefix) {
    if (!folder) return engine::load_checkpoint(disk, path, prefix);
    auto newest = engine::load_newest_checkpoint(disk, path, prefix);
    if (!newest)
      throw InputError(cat("--checkpoint: ", path,
                           "; a run folder with a checkpoint in it, or a checkpoint file"));
    return std::move(*newest);
  };
  engine::Checkpoint found = load(ema ? "ema." : "model.");
  if (ema && found.tensors.empty()) {
    if (ema_asked)
      throw InputError(cat("--weights: ema; ", found.path,
                           " holds none (train.ema_decay was 0); use --weights raw"));
    ema = false;
    found = load("model.");
  }
  TrainedWeights trained{
      found.path, found.meta, resolve(parse_settings(found.meta.config, found.path)),
      ema,        {},         std::move(found.messages),
      found.hash};
  const std::size_t prefix = ema ? 4 : 6;
  for (engine::LoadedTensor& t : found.tensors) {
    t.name.erase(0, prefix);
    trained.tensors.push_back(std::move(t));
  }
  return trained;
}

std::unique_ptr<model::Network> make_trained_network(TrainedWeights& trained, Stream stream,
                                                     DType activations) {
  try {
    auto network = model::make_network(trained.config.model);
    model::allocate_from(network->parameters(), stream, false, activations,
                         take(trained.tensors, ""));
    return network;
  } catch (const InputError& e) {
    throw InputError(cat(trained.path, ": ", e.what()));
  }
}

}  // namespace haze::apps
