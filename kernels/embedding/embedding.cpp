// SPDX-License-Identifier: MIT
// embedding.cpp — CPU backend. Backward goes over the table's rows: each belongs to one thread, which
// adds its part of dy in the order of n.
#include "kernels/embedding/embedding.h"

#include <algorithm>

#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {

template <class From, class To>
void gather(const EmbeddingDims& d, const From* table, const std::int32_t* index, To* y) {
#pragma omp parallel for schedule(static)
  for (int n = 0; n < d.n; ++n) {
    const From* row = table + std::size_t(index[n]) * d.width;
    To* out = y + std::size_t(n) * d.width;
#pragma omp simd
    for (int i = 0; i < d.width; ++i) out[i] = float(row[i]);
  }
}

/// Numbers of a row whose sums lie on the stack at a time.
constexpr int kSumTile = 1024;

template <class From, class To>
void scatter(const EmbeddingDims& d, const From* dy, const std::int32_t* index, To* dtable,
             bool adds) {
#pragma omp parallel for schedule(static)
  for (int r = 0; r < d.rows; ++r)
    for (int first = 0; first < d.width; first += kSumTile) {
      const int count = std::min(kSumTile, d.width - first);
      float sum[kSumTile];
      To* out = dtable + std::size_t(r) * d.width + first;
#pragma omp simd
      for (int i = 0; i < count; ++i) sum[i] = adds ? float(out[i]) : 0.0f;
      for (int n = 0; n < d.n; ++n) {
        if (index[n] != r) continue;
        const From* in = dy + std::size_t(n) * d.width + first;
#pragma omp simd
        for (int i = 0; i < count; ++i) sum[i] += float(in[i]);
      }
#pragma omp simd
      for (int i = 0; i < count; ++i) out[i] = sum[i];
    }
}

}  // namespace

template <>
void embedding_forward(CpuStream, const EmbeddingDims& d, ConstAct table, const std::int32_t* index,
                       Act y) {
  for (int n = 0; n < d.n; ++n)
    HAZE_CHECK(index[n] >= 0 && index[n] < d.rows, "index[", n, "] is ", index[n],
               ", must be in [0,", d.rows, ')');
  dispatch(table.dtype, [&]<class F>(F) {
    dispatch(y.dtype, [&]<class T>(T) { gather(d, table.as<F>(), index, y.as<T>()); });
  });
}

template <>
void embedding_backward(CpuStream, const EmbeddingDims& d, ConstAct dy, const std::int32_t* index,
                        Grad dtable) {
  dispatch(dy.dtype, [&]<class F>(F) {
    dispatch(dtable.dtype,
             [&]<class T>(T) { scatter(d, dy.as<F>(), index, dtable.as<T>(), dtable.adds()); });
  });
}

}  // namespace haze::kernels
