// SPDX-License-Identifier: MIT
// reference.h — channel concatenation as the formula reads, in T (double in the tests).
#pragma once
#include "kernels/concat/concat.h"

namespace haze::kernels::reference {

template <class T>
void concat_channels_forward(const ConcatDims& d, const T* a, const T* b, T* y) {
  const std::size_t ca = std::size_t(d.ca), cb = std::size_t(d.cb);
  for (std::size_t p = 0; p < d.pixels; ++p)
    for (std::size_t c = 0; c < ca + cb; ++c)
      y[p * (ca + cb) + c] = c < ca ? a[p * ca + c] : b[p * cb + c - ca];
}

/// Adds (+=) into da [pixels,ca] and db [pixels,cb].
template <class T>
void concat_channels_backward(const ConcatDims& d, const T* dy, T* da, T* db) {
  const std::size_t ca = std::size_t(d.ca), cb = std::size_t(d.cb);
  for (std::size_t p = 0; p < d.pixels; ++p)
    for (std::size_t c = 0; c < ca + cb; ++c)
      (c < ca ? da[p * ca + c] : db[p * cb + c - ca]) += dy[p * (ca + cb) + c];
}

}  // namespace haze::kernels::reference
