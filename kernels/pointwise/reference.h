// SPDX-License-Identifier: MIT
// reference.h — the loops of the contract in double, around a function's Reference.
#pragma once
#include "kernels/pointwise/pointwise.h"

namespace haze::kernels::reference {

template <class F>
void pointwise_forward(std::size_t n, const double* x, double* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] = F::Reference::y(x[i]);
}

/// Adds (+=) into dx.
template <class F>
void pointwise_backward(std::size_t n, const double* dy, const double* kept, double* dx) {
  for (std::size_t i = 0; i < n; ++i) dx[i] += F::Reference::dx(dy[i], kept[i]);
}

template <class F>
void pointwise_forward(std::size_t n, const double* a, const double* b, double* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] = F::Reference::y(a[i], b[i]);
}

/// Adds (+=) into da and db.
template <class F>
void pointwise_backward(std::size_t n, const double* dy, const double* a, const double* b,
                        double* da, double* db) {
  for (std::size_t i = 0; i < n; ++i) {
    da[i] += F::Reference::da(dy[i], a[i], b[i]);
    db[i] += F::Reference::db(dy[i], a[i], b[i]);
  }
}

}  // namespace haze::kernels::reference
