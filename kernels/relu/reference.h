// reference.h — the rectifier as the formula reads, in T (double in the tests).
#pragma once
#include "kernels/relu/relu.h"

namespace haze::kernels::reference {

template <class T>
void relu_forward(std::size_t n, const T* x, T* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i] < 0 ? T(0) : x[i];
}

/// Adds (+=) into dx.
template <class T>
void relu_backward(std::size_t n, const T* dy, const T* y, T* dx) {
  for (std::size_t i = 0; i < n; ++i) dx[i] += y[i] <= 0 ? T(0) : dy[i];
}

}  // namespace haze::kernels::reference
