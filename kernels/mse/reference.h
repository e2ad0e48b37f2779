// SPDX-License-Identifier: MIT
// reference.h — mean squared error and its gradient as the formula reads, in T (double in the
// tests), the noise given.
#pragma once
#include <algorithm>

#include "kernels/mse/mse.h"

namespace haze::kernels::reference {

/// Calls f(n, at, difference, weight) for every value; `at` is its place in pred.
template <class T, class F>
void each_difference(const PredictionDims& d, const MseTarget& target, const T* pred, const T* eps,
                     const T* x0, F&& f) {
  const int width = d.variances ? 2 * d.channels : d.channels;
  for (int n = 0; n < d.n; ++n) {
    const T a = target.from_noise ? target.from_noise[target.t[n]] : 1;
    const T b = target.from_x0 ? target.from_x0[target.t[n]] : 0;
    const T weight = target.weight ? target.weight[target.t[n]] : 1;
    for (int p = 0; p < d.pixels; ++p)
      for (int c = 0; c < d.channels; ++c) {
        const std::size_t pixel = std::size_t(n) * d.pixels + p, i = pixel * d.channels + c;
        const T want = a * eps[i] + (x0 ? b * x0[i] : 0);
        f(n, pixel * width + c, pred[pixel * width + c] - want, weight);
      }
  }
}

/// Returns the loss. Unless null, overwrites item_loss [n].
template <class T>
T mse_forward(const PredictionDims& d, const MseTarget& target, const T* pred, const T* eps,
              const T* x0, T* item_loss = nullptr) {
  T sum = 0;
  if (item_loss) std::fill_n(item_loss, d.n, T(0));
  each_difference(d, target, pred, eps, x0, [&](int n, std::size_t, T difference, T weight) {
    sum += weight * difference * difference;
    if (item_loss) item_loss[n] += difference * difference / T(d.elements());
  });
  return sum / T(d.items().size());
}

/// Overwrites the predictions' places in dpred, which is laid out as pred.
template <class T>
void mse_backward(const PredictionDims& d, const MseTarget& target, const T* pred, const T* eps,
                  const T* x0, T scale, T* dpred) {
  each_difference(d, target, pred, eps, x0, [&](int, std::size_t at, T difference, T weight) {
    dpred[at] = scale * 2 * weight * difference / T(d.items().size());
  });
}

}  // namespace haze::kernels::reference
