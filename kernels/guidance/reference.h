// SPDX-License-Identifier: MIT
// reference.h — guidance as the formula reads, in T (double in the tests).
#pragma once
#include <cmath>
#include <vector>

#include "kernels/guidance/guidance.h"

namespace haze::kernels::reference {

template <class T>
T standard_deviation(const std::vector<T>& v) {
  T mean = 0, sum = 0;
  for (const T e : v) mean += e / T(v.size());
  for (const T e : v) sum += (e - mean) * (e - mean);
  return std::sqrt(sum / T(v.size()));
}

template <class T>
void guidance(const PredictionDims& d, const T* c, const T* u, const Guidance& g, T* out) {
  const int width = d.variances ? 2 * d.channels : d.channels;
  for (int n = 0; n < d.n; ++n, c += d.outputs(), u += d.outputs(), out += d.outputs()) {
    std::vector<T> conditional, guided;
    for (int i = 0; i < d.outputs(); ++i) {
      out[i] = c[i];
      if (i % width >= d.channels) continue;
      conditional.push_back(c[i]);
      guided.push_back(out[i] = u[i] + T(g.weight) * (c[i] - u[i]));
    }
    const T spread = standard_deviation(guided), phi = g.rescale;
    const T factor = spread == 0 ? 1 : phi * standard_deviation(conditional) / spread + 1 - phi;
    for (int i = 0; i < d.outputs(); ++i)
      if (i % width < d.channels) out[i] *= factor;
  }
}

}  // namespace haze::kernels::reference
