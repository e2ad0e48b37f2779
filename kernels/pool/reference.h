// SPDX-License-Identifier: MIT
// reference.h — pooling as the definition reads, in T (double in the tests).
#pragma once
#include <cmath>
#include <limits>

#include "kernels/pool/pool.h"

namespace haze::kernels::reference {

/// Overwrites y [n,ho,wo,c].
template <class T>
void pool_forward(const PoolDims& d, Pooling pooling, const T* x, T* y) {
  for (int n = 0; n < d.n; ++n)
    for (int p = 0; p < d.ho(); ++p)
      for (int q = 0; q < d.wo(); ++q)
        for (int c = 0; c < d.c; ++c) {
          T largest = -std::numeric_limits<T>::infinity(), sum = 0;
          int count = 0;
          for (int r = 0; r < d.side; ++r)
            for (int s = 0; s < d.side; ++s) {
              const int row = p * d.stride - d.pad + r, col = q * d.stride - d.pad + s;
              if (row < 0 || row >= d.h || col < 0 || col >= d.w) continue;
              const T v = x[((std::size_t(n) * d.h + row) * d.w + col) * d.c + c];
              largest = v > largest || std::isnan(v) ? v : largest;
              sum += v;
              ++count;
            }
          y[((std::size_t(n) * d.ho() + p) * d.wo() + q) * d.c + c] =
              pooling == Pooling::mean ? sum / count : largest;
        }
}

}  // namespace haze::kernels::reference
