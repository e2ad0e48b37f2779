// SPDX-License-Identifier: MIT
// prediction_quads.h — a thread's four elements of a prediction (kernels/base/prediction_dims.h) in CUDA
// kernels. Where the outputs are twice as wide as the data, neighbouring elements lie apart at
// every pixel's end, so they move one by one; together prediction and variance use whole sectors.
#pragma once
#include "kernels/base/prediction_dims.h"
#include "kernels/cuda/noise_quads.h"

namespace haze::kernels {

/// Where elements first .. first + 3 of an item lie among its outputs.
struct Outputs {
  int at[kNormals];
};
HAZE_DEVICE Outputs outputs_of(const PredictionDims& d, int first) {
  Outputs o;
  int pixel = first / d.channels, c = first - pixel * d.channels;
#pragma unroll
  for (int k = 0; k < kNormals; ++k) {
    o.at[k] = first + k + pixel * d.channels;
    if (++c < d.channels) continue;
    c = 0;
    ++pixel;
  }
  return o;
}

/// v = the first `count` of `p` at those places, and zeros.
template <class T>
HAZE_DEVICE void read_at(const T* p, const Outputs& o, int count, float (&v)[kNormals]) {
#pragma unroll
  for (int k = 0; k < kNormals; ++k) v[k] = k < count ? float(p[o.at[k]]) : 0.0f;
}

/// The other way.
template <class T>
HAZE_DEVICE void write_at(T* p, const Outputs& o, int count, const float (&v)[kNormals]) {
#pragma unroll
  for (int k = 0; k < kNormals; ++k)
    if (k < count) p[o.at[k]] = v[k];
}

}  // namespace haze::kernels
