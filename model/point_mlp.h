// SPDX-License-Identifier: MIT
// point_mlp.h — the network of the 2-D tutorials: a perceptron of three hidden layers that adds a
// learned vector per t before each of its rectifiers.
#pragma once
#include "model/layers.h"

namespace haze::model {

/// Images of 1x1 whose channels are the coordinates. Names and initial values are PyTorch's of
/// `linears` (Linear, ReLU in turn: 0, 2, 4, 6) and `step_embeddings` (Embedding: 0, 1, 2).
class PointMlp : public Network {
 public:
  explicit PointMlp(const NetworkConfig& config);
  engine::Var forward(engine::Tape& tape, const NetworkInput& in,
                      const TrainingRandom* random) override;

 private:
  std::vector<Linear> linears_;
  std::vector<Embedding> times_;  // [T, hidden] each
};

}  // namespace haze::model
