// SPDX-License-Identifier: MIT
// reference.h — the transposed convolution as the formula reads, in T (double in the tests).
#pragma once
#include "kernels/conv_transpose2d/conv_transpose2d.h"

namespace haze::kernels::reference {

/// Calls f(index into x, index into w, index into y) for every product of the sum.
template <class F>
void conv_transpose2d_products(const ConvTranspose2dDims& d, F f) {
  for (int n = 0; n < d.n; ++n)
    for (int p = 0; p < d.h; ++p)
      for (int q = 0; q < d.w; ++q)
        for (int r = 0; r < 4; ++r)
          for (int s = 0; s < 4; ++s) {
            const int row = 2 * p - 1 + r, col = 2 * q - 1 + s;
            if (row < 0 || row >= 2 * d.h || col < 0 || col >= 2 * d.w) continue;
            for (int o = 0; o < d.co; ++o)
              for (int i = 0; i < d.ci; ++i)
                f(((std::size_t(n) * d.h + p) * d.w + q) * d.ci + i,
                  ((std::size_t(o) * 4 + r) * 4 + s) * d.ci + i,
                  ((std::size_t(n) * 2 * d.h + row) * 2 * d.w + col) * d.co + o);
          }
}

/// bias [co] may be null. Overwrites y.
template <class T>
void conv_transpose2d_forward(const ConvTranspose2dDims& d, const T* x, const T* w, const T* bias,
                              T* y) {
  const std::size_t pixels = std::size_t(d.n) * 4 * d.h * d.w;
  for (std::size_t j = 0; j < pixels * d.co; ++j) y[j] = bias ? bias[j % d.co] : T(0);
  conv_transpose2d_products(d, [&](auto i, auto j, auto k) { y[k] += x[i] * w[j]; });
}

/// Adds (+=) into dx, dw and dbias.
template <class T>
void conv_transpose2d_backward(const ConvTranspose2dDims& d, const T* x, const T* w, const T* dy,
                               T* dx, T* dw, T* dbias) {
  conv_transpose2d_products(d, [&](auto i, auto j, auto k) {
    dx[i] += dy[k] * w[j];
    dw[j] += dy[k] * x[i];
  });
  const std::size_t pixels = std::size_t(d.n) * 4 * d.h * d.w;
  for (std::size_t j = 0; j < pixels * d.co; ++j) dbias[j % d.co] += dy[j];
}

}  // namespace haze::kernels::reference
