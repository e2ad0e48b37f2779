// SPDX-License-Identifier: MIT
// reference.h — group normalisation as the formula reads, in T (double in the tests).
#pragma once
#include <cmath>

#include "kernels/group_norm/group_norm.h"

namespace haze::kernels::reference {

/// Calls f(index of x[n,p,c], c) for every value of group g of image n.
template <class F>
void each_of_group(const GroupNormDims& d, int n, int g, F f) {
  const int per_group = d.c / d.groups;
  for (int p = 0; p < d.hw; ++p)
    for (int c = g * per_group; c < (g + 1) * per_group; ++c)
      f((std::size_t(n) * d.hw + p) * d.c + c, c);
}

template <class T>
void group_norm_forward(const GroupNormDims& d, const T* x, const T* gamma, const T* beta, T* y,
                        T* mean, T* rstd) {
  const T size = T(d.hw) * (d.c / d.groups);
  for (int n = 0; n < d.n; ++n)
    for (int g = 0; g < d.groups; ++g) {
      T sum = 0, squares = 0;
      each_of_group(d, n, g, [&](std::size_t i, int) { sum += x[i]; });
      const T m = sum / size;
      each_of_group(d, n, g, [&](std::size_t i, int) { squares += (x[i] - m) * (x[i] - m); });
      const T r = 1 / std::sqrt(squares / size + T(d.eps));
      each_of_group(d, n, g, [&](std::size_t i, int c) {
        const T z = gamma[c] * (x[i] - m) * r + beta[c];
        y[i] = d.swish ? z / (1 + std::exp(-z)) : z;
      });
      mean[n * d.groups + g] = m;
      rstd[n * d.groups + g] = r;
    }
}

/// Adds (+=) into dx [n,hw,c], dgamma [c], dbeta [c].
template <class T>
void group_norm_backward(const GroupNormDims& d, const T* dy, const T* x, const T* gamma,
                         const T* beta, const T* mean, const T* rstd, T* dx, T* dgamma, T* dbeta) {
  const T size = T(d.hw) * (d.c / d.groups);
  for (int n = 0; n < d.n; ++n)
    for (int g = 0; g < d.groups; ++g) {
      const T m = mean[n * d.groups + g], r = rstd[n * d.groups + g];
      const auto normalised = [&](std::size_t i) { return (x[i] - m) * r; };
      const auto dz = [&](std::size_t i, int c) {
        if (!d.swish) return dy[i];
        const T z = gamma[c] * normalised(i) + beta[c], s = 1 / (1 + std::exp(-z));
        return dy[i] * s * (1 + z * (1 - s));
      };
      T sum = 0, sum_x = 0;  // of d(loss)/d(normalised x), and of its product with normalised x
      each_of_group(d, n, g, [&](std::size_t i, int c) {
        dbeta[c] += dz(i, c);
        dgamma[c] += dz(i, c) * normalised(i);
        sum += gamma[c] * dz(i, c);
        sum_x += gamma[c] * dz(i, c) * normalised(i);
      });
      each_of_group(d, n, g, [&](std::size_t i, int c) {
        dx[i] += r * (gamma[c] * dz(i, c) - (sum + normalised(i) * sum_x) / size);
      });
    }
}

}  // namespace haze::kernels::reference
