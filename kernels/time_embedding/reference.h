// SPDX-License-Identifier: MIT
// reference.h — the embedding as the formula reads, in T (double in the tests), nothing rounded.
#pragma once
#include <cmath>

#include "kernels/time_embedding/time_embedding.h"

namespace haze::kernels::reference {

template <class T>
void time_embedding(const TimeEmbeddingDims& d, const std::int32_t* t, T* y) {
  const int half = d.dim / 2;
  for (int n = 0; n < d.n; ++n)
    for (int i = 0; i < half; ++i) {
      const T angle = t[n] * std::exp(-std::log(T(10000)) * i / (half - T(d.freq_shift)));
      y[n * d.dim + i] = d.cosine_first ? std::cos(angle) : std::sin(angle);
      y[n * d.dim + half + i] = d.cosine_first ? std::sin(angle) : std::cos(angle);
    }
}

}  // namespace haze::kernels::reference
