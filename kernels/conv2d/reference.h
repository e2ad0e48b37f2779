// SPDX-License-Identifier: MIT
// reference.h — the convolution as the formula reads, in T (double in the tests).
#pragma once
#include "kernels/conv2d/conv2d.h"

namespace haze::kernels::reference {

/// Calls f(index into x, index into w, index into y) for every product of the sum.
template <class F>
void conv2d_products(const Conv2dDims& d, F f) {
  for (int n = 0; n < d.n; ++n)
    for (int p = 0; p < d.ho(); ++p)
      for (int q = 0; q < d.wo(); ++q)
        for (int o = 0; o < d.co; ++o)
          for (int r = 0; r < d.kh; ++r)
            for (int s = 0; s < d.kw; ++s) {
              const int row = p * d.stride - d.pad_top + r, col = q * d.stride - d.pad_left + s;
              if (row < 0 || row >= d.h || col < 0 || col >= d.w) continue;  // x is 0 there
              for (int i = 0; i < d.ci; ++i)
                f(((std::size_t(n) * d.h + row) * d.w + col) * d.ci + i,
                  ((std::size_t(o) * d.kh + r) * d.kw + s) * d.ci + i,
                  ((std::size_t(n) * d.ho() + p) * d.wo() + q) * d.co + o);
            }
}

/// bias [co], per_channel [n,co] and residual [n,ho,wo,co] may be null. Overwrites y.
template <class T>
void conv2d_forward(const Conv2dDims& d, const T* x, const T* w, const T* bias,
                    const T* per_channel, const T* residual, T* y) {
  const std::size_t pixels = std::size_t(d.ho()) * d.wo();
  for (std::size_t j = 0; j < d.n * pixels; ++j)
    for (int o = 0; o < d.co; ++o) {
      T sum = 0;
      if (bias) sum += bias[o];
      if (per_channel) sum += per_channel[j / pixels * d.co + o];
      if (residual) sum += residual[j * d.co + o];
      y[j * d.co + o] = sum;
    }
  conv2d_products(d, [&](auto i, auto j, auto k) { y[k] += x[i] * w[j]; });
}

/// Adds (+=) into dx, dw, dbias [co] and dper_channel [n,co]. The residual's gradient is dy itself.
template <class T>
void conv2d_backward(const Conv2dDims& d, const T* x, const T* w, const T* dy, T* dx, T* dw,
                     T* dbias, T* dper_channel) {
  conv2d_products(d, [&](auto i, auto j, auto k) {
    dx[i] += dy[k] * w[j];
    dw[j] += dy[k] * x[i];
  });
  const std::size_t pixels = std::size_t(d.ho()) * d.wo();
  for (std::size_t j = 0; j < d.n * pixels; ++j)
    for (int o = 0; o < d.co; ++o) {
      dbias[o] += dy[j * d.co + o];
      dper_channel[j / pixels * d.co + o] += dy[j * d.co + o];
    }
}

}  // namespace haze::kernels::reference
