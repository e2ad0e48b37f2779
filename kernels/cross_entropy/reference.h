// SPDX-License-Identifier: MIT
// reference.h — cross-entropy of softmax and its gradient as the formulas read, in T (tests: double).
#pragma once
#include <cmath>

#include "kernels/cross_entropy/cross_entropy.h"

namespace haze::kernels::reference {

/// softmax(z)[c] for one item.
template <class T>
T softmax(int classes, const T* z, int c) {
  T sum = 0;
  for (int k = 0; k < classes; ++k) sum += std::exp(z[k] - z[c]);
  return 1 / sum;
}

template <class T>
T cross_entropy_forward(const CrossEntropyDims& d, const T* logits, const std::int32_t* labels) {
  T sum = 0;
  for (int n = 0; n < d.n; ++n)
    sum -= std::log(softmax(d.classes, logits + std::size_t(n) * d.classes, labels[n]));
  return sum / d.n;
}

/// Overwrites dlogits [n,classes].
template <class T>
void cross_entropy_backward(const CrossEntropyDims& d, const T* logits, const std::int32_t* labels,
                            T scale, T* dlogits) {
  for (int n = 0; n < d.n; ++n)
    for (int c = 0; c < d.classes; ++c) {
      const std::size_t row = std::size_t(n) * d.classes;
      dlogits[row + c] =
          scale / d.n * (softmax(d.classes, logits + row, c) - (c == labels[n] ? 1 : 0));
    }
}

}  // namespace haze::kernels::reference
