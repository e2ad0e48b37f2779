// SPDX-License-Identifier: MIT
// reference.h — the terms of the variational bound as the formulas read, in T (tests: double).
#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/variational_bound/variational_bound.h"

namespace haze::kernels::reference {

template <class T>
T normal_cdf(T x) {
  return std::erfc(-x / std::sqrt(T(2))) / 2;
}
template <class T>
T normal_density(T x) {
  return std::exp(-x * x / 2) / std::sqrt(2 * std::acos(T(-1)));
}

/// One value at one time; by_v is the derivative by v.
template <class T>
T bound_term(const BoundStep& c, const BoundRange& range, int t, T x0, T x_t, T out, T v, T& by_v) {
  T guess = T(c.x0_from_xt) * x_t + T(c.x0_from_out) * out;
  if (range.clip) guess = std::clamp(guess, T(range.lo), T(range.hi));
  const T min = c.log_variance_min, max = c.log_variance_max;
  const T log_variance = (v + 1) / 2 * max + (1 - v) / 2 * min, variance = std::exp(log_variance);
  T value, by_log_variance;
  if (t > 0) {
    const T ratio = std::exp(T(c.posterior_log_variance)) / variance;
    const T difference = T(c.posterior_x0) * (x0 - guess);
    value = (ratio - 1 - std::log(ratio) + difference * difference / variance) / 2;
    by_log_variance = (1 - ratio - difference * difference / variance) / 2;
  } else {
    const T sigma = std::sqrt(variance), half = (T(range.hi) - T(range.lo)) / 510;
    const bool low = x0<T(range.lo) + half, high = x0> T(range.hi) - half;
    const T a = low ? -INFINITY : (x0 - half - guess) / sigma;
    const T b = high ? INFINITY : (x0 + half - guess) / sigma;
    const T mass = a + b < 0 ? normal_cdf(b) - normal_cdf(a) : normal_cdf(-a) - normal_cdf(-b);
    const T slope = (high ? 0 : b * normal_density(b)) - (low ? 0 : a * normal_density(a));
    value = -std::log(std::max(mass, T(1e-12)));
    by_log_variance = mass < T(1e-12) ? 0 : slope / (2 * mass);
  }
  by_v = by_log_variance * (max - min) / 2;
  return value;
}

/// Returns the loss; overwrites terms [n] and, at the variances' places, dout (null: not wanted).
/// Without variances v is -1, which is log_variance_min.
template <class T>
T variational_bound(const PredictionDims& d, const BoundInputs& in, const T* out, const T* x0,
                    const T* x_t, T scale, T* terms, T* dout) {
  T loss = 0;
  for (int n = 0; n < d.n; ++n) {
    const int t = in.t[n];
    const T weight = in.weight ? in.weight[t] : 1;
    terms[n] = 0;
    for (int i = 0; i < d.elements(); ++i) {
      const std::size_t at = std::size_t(n) * d.elements() + i;
      const std::size_t o =
          std::size_t(n) * d.outputs() + i + (d.variances ? i / d.channels * d.channels : 0);
      T by_v;
      const T v = d.variances ? out[o + d.channels] : T(-1);
      terms[n] +=
          bound_term(in.table[t], in.range, t, x0[at], x_t[at], out[o], v, by_v) / T(d.elements());
      if (dout) dout[o + d.channels] = scale * weight * by_v / T(d.items().size());
    }
    loss += weight * terms[n] / T(d.n);
  }
  return loss;
}

}  // namespace haze::kernels::reference
