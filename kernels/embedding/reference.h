// SPDX-License-Identifier: MIT
// reference.h — the look-up as the formula reads, in T (double in the tests).
#pragma once
#include <cstddef>

#include "kernels/embedding/embedding.h"

namespace haze::kernels::reference {

template <class T>
void embedding_forward(const EmbeddingDims& d, const T* table, const std::int32_t* index, T* y) {
  for (int n = 0; n < d.n; ++n)
    for (int i = 0; i < d.width; ++i)
      y[std::size_t(n) * d.width + i] = table[std::size_t(index[n]) * d.width + i];
}

/// Adds (+=) into dtable [rows,width].
template <class T>
void embedding_backward(const EmbeddingDims& d, const T* dy, const std::int32_t* index, T* dtable) {
  for (int n = 0; n < d.n; ++n)
    for (int i = 0; i < d.width; ++i)
      dtable[std::size_t(index[n]) * d.width + i] += dy[std::size_t(n) * d.width + i];
}

}  // namespace haze::kernels::reference
