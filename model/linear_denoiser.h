// SPDX-License-Identifier: MIT
// linear_denoiser.h — two convolutions and two fully connected layers: what a first network for a
// folder of images looks like. Each pixel of the result depends on every pixel of the image,
// through `hidden` numbers.
#pragma once
#include "model/layers.h"
#include "model/time_channel.h"

namespace haze::model {

/// Images of the one size that the network was made for. conv1 3x3: image and time channel -> 16;
/// conv2 3x3: 16 -> image; fc1: H·W·C -> hidden; fc2: hidden -> H·W·C; ReLU between them. The fully
/// connected layers count their values as haze lays them out: rows, columns, channels.
class LinearDenoiser : public Network {
 public:
  explicit LinearDenoiser(const NetworkConfig& config);
  engine::Var forward(engine::Tape& tape, const NetworkInput& in,
                      const TrainingRandom* random) override;

 private:
  TimeChannel time_;
  Conv conv1_, conv2_;
  Linear fc1_, fc2_;
  int height_, width_, out_channels_;
};

}  // namespace haze::model
