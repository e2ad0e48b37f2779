// SPDX-License-Identifier: MIT
// reference.h — the linear layer as the formula reads, in T (double in the tests).
#pragma once
#include "kernels/matmul/matmul.h"

namespace haze::kernels::reference {

/// bias [out] and residual [rows,out] may be null. Overwrites y.
template <class T>
void matmul_forward(const MatmulDims& d, const T* x, const T* w, const T* bias, const T* residual,
                    T* y) {
  for (int r = 0; r < d.rows; ++r)
    for (int o = 0; o < d.out; ++o) {
      const std::size_t at = std::size_t(r) * d.out + o;
      T sum = 0;
      for (int i = 0; i < d.in; ++i)
        sum += x[std::size_t(r) * d.in + i] * w[std::size_t(o) * d.in + i];
      if (bias) sum += bias[o];
      if (residual) sum += residual[at];
      y[at] = sum;
    }
}

/// Adds (+=) into dx, dw and dbias. The residual's gradient is dy itself.
template <class T>
void matmul_backward(const MatmulDims& d, const T* x, const T* w, const T* dy, T* dx, T* dw,
                     T* dbias) {
  for (int r = 0; r < d.rows; ++r)
    for (int o = 0; o < d.out; ++o) {
      const T g = dy[std::size_t(r) * d.out + o];
      for (int i = 0; i < d.in; ++i) {
        dx[std::size_t(r) * d.in + i] += g * w[std::size_t(o) * d.in + i];
        dw[std::size_t(o) * d.in + i] += g * x[std::size_t(r) * d.in + i];
      }
      dbias[o] += g;
    }
}

}  // namespace haze::kernels::reference
