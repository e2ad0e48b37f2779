// SPDX-License-Identifier: MIT
// conv_denoiser.h — the smallest convolutional denoiser that draws a digit: 3x3 convolutions at
// full size, image and time channel -> 64 -> 128 -> 128 -> image (`widths`), ReLU between them.
#pragma once
#include "model/layers.h"
#include "model/time_channel.h"

namespace haze::model {

/// Images of any size. Parameters are conv1, conv2, ...; InputError for impossible widths.
class ConvDenoiser : public Network {
 public:
  explicit ConvDenoiser(const NetworkConfig& config);
  engine::Var forward(engine::Tape& tape, const NetworkInput& in,
                      const TrainingRandom* random) override;

 private:
  TimeChannel time_;
  std::vector<Conv> convs_;
};

}  // namespace haze::model
