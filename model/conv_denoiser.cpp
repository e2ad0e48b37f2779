// SPDX-License-Identifier: MIT
#include "model/conv_denoiser.h"

namespace haze::model {

using engine::Var;

ConvDenoiser::ConvDenoiser(const NetworkConfig& config)
    : Network(config), time_(config.time_steps) {
  LayerBuilder builder(parameters_);
  int in = config.in_channels() + 1;
  const auto add = [&](int out) {
    if (out < 1) throw InputError(cat("model.widths: ", out, "; at least 1 each"));
    convs_.push_back(builder.conv_same(cat("conv", convs_.size() + 1), in, out, 3));
    in = out;
  };
  for (const int width : config.widths) add(width);
  add(config.out_channels());
}

Var ConvDenoiser::forward(engine::Tape& tape, const NetworkInput& in,
                          const TrainingRandom* random) {
  const Pass pass{tape, parameters_, random};
  Var h = time_(tape, in.x, in.t);
  for (std::size_t k = 0; k + 1 < convs_.size(); ++k) {
    const Var sum = convs_[k](pass, h);
    tape.release(h);
    h = engine::relu(tape, sum);
    tape.release(sum);
  }
  const Var out = convs_.back()(pass, h);
  tape.release(h);
  return out;
}

}  // namespace haze::model
