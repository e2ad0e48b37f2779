// SPDX-License-Identifier: MIT
// dims.h — shapes of data and of a network's output as the diffusion kernels take them.
#pragma once
#include "engine/tensor.h"
#include "kernels/base/prediction_dims.h"

namespace haze::engine {

/// [N,...] as N items of values.
inline kernels::ItemDims item_dims(const Shape& shape) {
  HAZE_CHECK(shape.rank() >= 2 && shape.size() > 0, "[N,...] expected, got ", shape.str());
  return {shape[0], int(shape.size() / std::size_t(shape[0]))};
}

/// Data [N,...,C] and the network's output for it: of the same shape, or [N,...,2C].
inline kernels::PredictionDims prediction_dims(const Shape& data, const Tensor& out) {
  const kernels::ItemDims d = item_dims(data);
  const int channels = data[-1];
  bool fits = out.shape.rank() == data.rank();
  for (int i = 0; fits && i + 1 < data.rank(); ++i) fits = out.shape[i] == data[i];
  fits = fits && (out.shape[-1] == channels || out.shape[-1] == 2 * channels);
  HAZE_CHECK(fits, "the data is ", data.str(), ", the network's output ", out.shape.str());
  return {d.n, d.elements / channels, channels, out.shape[-1] != channels};
}

}  // namespace haze::engine
