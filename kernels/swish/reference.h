// reference.h — Swish as the formula reads, in T (double in the tests).
#pragma once
#include <cmath>

#include "kernels/swish/swish.h"

namespace haze::kernels::reference {

template <class T>
void swish_forward(std::size_t n, const T* x, T* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i] / (1 + std::exp(-x[i]));
}

/// Adds (+=) into dx.
template <class T>
void swish_backward(std::size_t n, const T* dy, const T* x, T* dx) {
  for (std::size_t i = 0; i < n; ++i) {
    const T s = 1 / (1 + std::exp(-x[i]));
    dx[i] += dy[i] * s * (1 + x[i] * (1 - s));
  }
}

}  // namespace haze::kernels::reference
