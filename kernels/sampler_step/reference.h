// SPDX-License-Identifier: MIT
// reference.h — one denoising step as the formula reads, in T (double in the tests), z given.
#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/sampler_step/sampler_step.h"

namespace haze::kernels::reference {

/// out [n,pixels,channels], or [n,pixels,2·channels] with d.variances. `history` is read and,
/// unless null, overwritten, as is x0.
template <class T>
void sampler_step(const PredictionDims& d, const SamplerStep& c, const T* x, const T* out,
                  const T* z, T* x_prev, T* history = nullptr, T* x0_out = nullptr) {
  const int width = d.variances ? 2 * d.channels : d.channels;
  for (std::size_t p = 0; p < std::size_t(d.n) * d.pixels; ++p)
    for (int ch = 0; ch < d.channels; ++ch) {
      const std::size_t i = p * d.channels + ch;
      const T e = out[p * width + ch], now = x[i];
      T x0 = T(c.x0_from_xt) * now + T(c.x0_from_out) * e;
      if (c.clip) x0 = std::clamp(x0, T(c.lo), T(c.hi));
      T sigma = T(c.sigma);
      if (c.learned && c.sigma != 0) {
        const T f = (out[p * width + d.channels + ch] + 1) / 2;
        sigma = std::exp((f * T(c.log_variance_max) + (1 - f) * T(c.log_variance_min)) / 2);
      }
      x_prev[i] = T(c.x0) * x0 + T(c.xt) * now + T(c.out) * e + sigma * z[i];
      if (c.history != 0) x_prev[i] += T(c.history) * history[i];
      if (history) history[i] = T(c.keep_x0) * x0 + T(c.keep_xt) * now + T(c.keep_out) * e;
      if (x0_out) x0_out[i] = x0;
    }
}

}  // namespace haze::kernels::reference
