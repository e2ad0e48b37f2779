// SPDX-License-Identifier: MIT
#include "model/point_mlp.h"

namespace haze::model {

using engine::Var;

namespace {
constexpr int kHiddenLayers = 3;
}

PointMlp::PointMlp(const NetworkConfig& config) : Network(config) {
  LayerBuilder builder(parameters_);
  int width = config.in_channels();
  for (int k = 0; k <= kHiddenLayers; ++k) {
    const int out = k < kHiddenLayers ? config.hidden : config.out_channels();
    linears_.push_back(builder.linear(cat("linears.", 2 * k), width, out));
    width = out;
  }
  for (int k = 0; k < kHiddenLayers; ++k)
    times_.push_back(
        builder.embedding(cat("step_embeddings.", k), config.time_steps, config.hidden));
}

Var PointMlp::forward(engine::Tape& tape, const NetworkInput& in, const TrainingRandom* random) {
  const Pass pass{tape, parameters_, random};
  const engine::Shape image = tape.value(in.x).shape;
  HAZE_CHECK(image.rank() == 4 && image[1] == 1 && image[2] == 1, "points are [N,1,1,C], got ",
             image.str());
  const int n = image[0];
  Var h = engine::reshape(tape, in.x, {n, image[3]});
  tape.release(in.x);
  for (std::size_t k = 0; k < times_.size(); ++k) {
    const Var time = times_[k](pass, in.t), sum = linears_[k](pass, h, time);
    tape.release(time);
    tape.release(h);
    h = engine::relu(tape, sum);
    tape.release(sum);
  }
  const Var out = linears_.back()(pass, h);
  tape.release(h);
  return engine::reshape(tape, out, {n, 1, 1, tape.value(out).shape[1]});
}

}  // namespace haze::model
