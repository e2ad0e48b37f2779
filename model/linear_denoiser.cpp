// SPDX-License-Identifier: MIT
#include "model/linear_denoiser.h"

namespace haze::model {

using engine::Var;

namespace {

constexpr int kWidth = 16;

/// relu(layer(x)); x is not needed afterwards.
template <class Layer>
Var rectified(const Pass& pass, const Layer& layer, Var x) {
  const Var sum = layer(pass, x);
  pass.tape.release(x);
  const Var y = engine::relu(pass.tape, sum);
  pass.tape.release(sum);
  return y;
}

}  // namespace

LinearDenoiser::LinearDenoiser(const NetworkConfig& config)
    : Network(config),
      time_(config.time_steps),
      height_(config.image_height),
      width_(config.image_width),
      out_channels_(config.out_channels()) {
  const long long pixels = 1LL * height_ * width_;
  if (pixels < 1)
    throw InputError("data.image_size: []; [height, width], which linear_denoiser is made for");
  constexpr long long kMost = 1 << 20;
  const long long in = pixels * config.in_channels(), out = pixels * out_channels_;
  if (std::max(in, out) > kMost)
    throw InputError(cat("data.image_size: [", height_, ",", width_,
                         "]; linear_denoiser takes at most ", kMost, " values per image"));
  LayerBuilder builder(parameters_);
  conv1_ = builder.conv_same("conv1", config.in_channels() + 1, kWidth, 3);
  conv2_ = builder.conv_same("conv2", kWidth, config.in_channels(), 3);
  fc1_ = builder.linear("fc1", int(in), config.hidden);
  fc2_ = builder.linear("fc2", config.hidden, int(out));
}

Var LinearDenoiser::forward(engine::Tape& tape, const NetworkInput& in,
                            const TrainingRandom* random) {
  const Pass pass{tape, parameters_, random};
  const engine::Shape image = tape.value(in.x).shape;
  HAZE_CHECK(image.rank() == 4 && image[1] == height_ && image[2] == width_, "images of ", height_,
             "x", width_, " expected, got ", image.str());
  const int n = image[0];
  const Var y = rectified(pass, conv2_, rectified(pass, conv1_, time_(tape, in.x, in.t)));
  const Var flat = engine::reshape(tape, y, {n, height_ * width_ * image[3]});
  tape.release(y);
  const Var hidden = rectified(pass, fc1_, flat);
  const Var out = fc2_(pass, hidden);
  tape.release(hidden);
  return engine::reshape(tape, out, {n, height_, width_, out_channels_});
}

}  // namespace haze::model
