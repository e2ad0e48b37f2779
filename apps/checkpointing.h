// SPDX-License-Identifier: MIT
// checkpointing.h — between a network's flat buffers and checkpoint files.
#pragma once
#include <memory>
#include <string>

#include "apps/config/config.h"
#include "apps/data/classes.h"
#include "engine/files/checkpoint.h"
#include "model/network.h"
#include "model/weights.h"

namespace haze::apps {

/// Saves model.*, ema.* (where there is one), adam_m.* and adam_v.*, and as train.* what the
/// trainer needs besides (Trainer::state).
engine::SaveReport save_state(engine::CheckpointWriter& writer, const engine::CheckpointMeta& meta,
                              const engine::Parameters& parameters,
                              const model::StateDict& trainer = {});

/// Allocates the parameters for training as the configuration says, fills the flat buffers from a
/// whole checkpoint and returns its train.* tensors, for Trainer::restore. Takes the tensors out of
/// `checkpoint`, each buffer's freed as soon as it is filled, and leaves the rest. Throws InputError
/// for tensors that are missing, left over or of another shape, before anything is allocated.
model::StateDict restore_state(engine::Checkpoint& checkpoint, engine::Parameters& parameters,
                               Stream stream, const RunConfig& config);

/// The names that a checkpoint keeps of its classes.
ClassNames class_names_of(const engine::CheckpointMeta& meta);

/// What sampling and export start from.
struct TrainedWeights {
  std::string path;  // of the checkpoint file
  engine::CheckpointMeta meta;
  RunConfig config;
  bool ema = false;                           // which of the two the state is
  std::vector<engine::LoadedTensor> tensors;  // under the system's own names
  std::vector<std::string> messages;
  std::string hash;  // of the checkpoint: XXH3-128, as in its header
};

/// `path`: a run folder, whose newest whole checkpoint is taken, or a checkpoint file. With `ema`
/// the averaged weights; where the run keeps none the last ones, or InputError if `ema_asked`.
TrainedWeights load_weights(const std::string& path, bool ema, bool ema_asked);

/// Builds the network of the configuration for inference and fills it.
std::unique_ptr<model::Network> make_trained_network(TrainedWeights& trained, Stream stream,
                                                     DType activations);

}  // namespace haze::apps
