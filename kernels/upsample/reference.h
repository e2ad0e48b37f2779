// SPDX-License-Identifier: MIT
// reference.h — nearest-neighbour upsampling as the formula reads, in T (double in the tests).
#pragma once
#include "kernels/upsample/upsample.h"

namespace haze::kernels::reference {

/// Calls f(index in x, index in y) for every element of y [n,2h,2w,c].
template <class F>
void for_each_upsampled(const UpsampleDims& d, F f) {
  for (int n = 0; n < d.n; ++n)
    for (int i = 0; i < 2 * d.h; ++i)
      for (int j = 0; j < 2 * d.w; ++j)
        for (int c = 0; c < d.c; ++c)
          f(((std::size_t(n) * d.h + i / 2) * d.w + j / 2) * d.c + c,
            ((std::size_t(n) * 2 * d.h + i) * 2 * d.w + j) * d.c + c);
}

template <class T>
void upsample2x_forward(const UpsampleDims& d, const T* x, T* y) {
  for_each_upsampled(d, [=](std::size_t from, std::size_t to) { y[to] = x[from]; });
}

/// Adds (+=) into dx [n,h,w,c].
template <class T>
void upsample2x_backward(const UpsampleDims& d, const T* dy, T* dx) {
  for_each_upsampled(d, [=](std::size_t to, std::size_t from) { dx[to] += dy[from]; });
}

}  // namespace haze::kernels::reference
