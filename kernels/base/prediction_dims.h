// SPDX-License-Identifier: MIT
// prediction_dims.h — what a network puts out for a batch of images.
#pragma once
#include "kernels/base/noise.h"

namespace haze::kernels {

/// n items of [pixels, channels]: the prediction alone or, if the variance is learned, with
/// [prediction | variance] of `channels` each at every pixel, so that a row is twice as wide.
struct PredictionDims {
  int n, pixels, channels;
  bool variances = false;
  /// Of the data: x, noise, x0.
  HAZE_HD int elements() const { return pixels * channels; }
  HAZE_HD ItemDims items() const { return {n, elements()}; }
  /// Values that the network puts out per item.
  HAZE_HD int outputs() const { return elements() * (variances ? 2 : 1); }
};

}  // namespace haze::kernels
