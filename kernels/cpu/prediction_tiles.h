// SPDX-License-Identifier: MIT
// prediction_tiles.h — the CPU backend's way to read and write tiles of a prediction
// (prediction_dims.h). Included by kernels' .cpp files only.
#pragma once
#include "kernels/base/prediction_dims.h"
#include "kernels/cpu/noise_tiles.h"

namespace haze::kernels {

/// Calls f(i, at) for i < count: element first + i of an item lies at `at` of its outputs, and its
/// variance, where there is one, d.channels behind it.
template <class F>
void each_output(const PredictionDims& d, int first, int count, F&& f) {
  if (!d.variances) {
#pragma omp simd
    for (int i = 0; i < count; ++i) f(i, first + i);
    return;
  }
  for (int i = 0; i < count;) {
    const int pixel = (first + i) / d.channels, end = (pixel + 1) * d.channels - first;
    for (; i < std::min(end, count); ++i) f(i, first + i + pixel * d.channels);
  }
}

}  // namespace haze::kernels
