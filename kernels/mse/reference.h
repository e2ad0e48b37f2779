// reference.h — mean squared error and its gradient as the formula reads, in T (double in the
// tests).
#pragma once
#include <cstddef>

namespace haze::kernels::reference {

template <class T>
T mse_forward(std::size_t n, const T* pred, const T* target) {
  T sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += (pred[i] - target[i]) * (pred[i] - target[i]);
  return sum / T(n);
}

/// Overwrites dpred [n].
template <class T>
void mse_backward(std::size_t n, const T* pred, const T* target, T scale, T* dpred) {
  for (std::size_t i = 0; i < n; ++i) dpred[i] = scale * 2 * (pred[i] - target[i]) / T(n);
}

}  // namespace haze::kernels::reference
