// SPDX-License-Identifier: MIT
// network.h — what training and sampling need of a denoising network: its weights and its forward.
#pragma once
#include <memory>

#include "engine/ops.h"
#include "model/config.h"

namespace haze::model {

/// What dropout needs to draw the masks of one training step; inference leaves it out.
struct TrainingRandom {
  std::uint64_t seed = 0;
  Late<std::uint32_t> step = {};
  std::uint32_t first_item = 0;  // index of the first image in the global batch
};

struct NetworkInput {
  engine::Var x;          // [N,H,W,in_channels] in the run's activation type; may be released
  engine::Tensor t;       // [N] i32
  engine::Tensor labels;  // [N] i32 in 0 .. num_classes; empty if and only if unconditional
};

class Network {
 public:
  explicit Network(NetworkConfig config = {}) : config_(std::move(config)) {}
  virtual ~Network() = default;
  /// -> [N,H,W,out_channels], in the type of x: what DiffusionConfig::prediction says, then the
  /// learned variance's v. Dropout acts only when `random` is given.
  virtual engine::Var forward(engine::Tape& tape, const NetworkInput& in,
                              const TrainingRandom* random) = 0;
  const NetworkConfig& config() const { return config_; }
  engine::Parameters& parameters() { return parameters_; }
  const engine::Parameters& parameters() const { return parameters_; }

 protected:
  NetworkConfig config_;
  engine::Parameters parameters_;
};

/// Builds the network; its parameters are registered but not allocated. Throws InputError, naming
/// key and value, for a configuration that no network can have (groups that do not divide channels,
/// lists of unequal length, ...).
std::unique_ptr<Network> make_network(const NetworkConfig& config);

/// Throws InputError unless images of height x width fit the network.
void check_image_size(const NetworkConfig& config, int height, int width);

}  // namespace haze::model
