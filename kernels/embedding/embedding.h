// SPDX-License-Identifier: MIT
// embedding.h — contract of the table look-up (class embeddings).
#pragma once
#include <cstdint>

#include "kernels/base/dtype.h"

namespace haze::kernels {

/// n look-ups in a table of `rows` rows of `width`.
struct EmbeddingDims {
  int n, rows, width;
};

/// y[n,:] = table[index[n],:]; table [rows,width] and y [n,width] may differ in type. Overwrites y.
/// An index outside [0,rows): CheckError on the CPU, a row of NaN on a device.
template <class S>
void embedding_forward(S stream, const EmbeddingDims& d, ConstAct table, const std::int32_t* index,
                       Act y);

/// dtable[r,:] = sum of dy[n,:] over the n with index[n] = r, in the order of n (f32 accumulators):
/// repeated indices give the same bits every time. Rows without any become 0 (overwrite) or keep
/// what they have (add). An index outside [0,rows) adds nowhere.
template <class S>
void embedding_backward(S stream, const EmbeddingDims& d, ConstAct dy, const std::int32_t* index,
                        Grad dtable);

}  // namespace haze::kernels
