// SPDX-License-Identifier: MIT
// reference.h — the additions as the formula reads, in T (double in the tests).
#pragma once
#include "kernels/add/add.h"

namespace haze::kernels::reference {

template <class T>
void add_channel_forward(const AddChannelDims& d, const T* x, const T* v, T* y) {
  for (int n = 0; n < d.n; ++n)
    for (int p = 0; p < d.hw; ++p)
      for (int c = 0; c < d.c; ++c) {
        const std::size_t i = (std::size_t(n) * d.hw + p) * d.c + c;
        y[i] = x[i] + v[std::size_t(n) * d.c + c];
      }
}

/// Adds (+=) into dv [n,c].
template <class T>
void add_channel_backward(const AddChannelDims& d, const T* dy, T* dv) {
  for (int n = 0; n < d.n; ++n)
    for (int p = 0; p < d.hw; ++p)
      for (int c = 0; c < d.c; ++c)
        dv[std::size_t(n) * d.c + c] += dy[(std::size_t(n) * d.hw + p) * d.c + c];
}

}  // namespace haze::kernels::reference
