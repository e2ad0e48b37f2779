// SPDX-License-Identifier: MIT
// embedding.cu — CUDA version. Forward copies rows, a vector per thread. Backward gives each vector
// of the table to one thread, which walks the batch and adds its part of dy in the order of n: no
// atomics, and rows that nobody asked for are written too. The indices are the same for a warp's
// neighbours in a row, so their loads are broadcasts from L1.
#include <limits>

#include "kernels/cuda/rows.h"
#include "kernels/embedding/embedding.h"

namespace haze::kernels {
namespace {

template <class From, class To, int N>
__global__ void __launch_bounds__(kVecThreads)
    look_up(EmbeddingDims d, const From* table, const std::int32_t* index, To* y) {
  const unsigned wide = unsigned(d.width / N);
  for_each_vec(std::size_t(d.n), wide, [&](std::size_t n, unsigned i) {
    const std::int32_t row = index[n];
    float v[N];
    if (unsigned(row) < unsigned(d.rows)) {
      read<N, true>(table + (std::size_t(row) * wide + i) * N, N, v);
    } else {
#pragma unroll
      for (float& e : v) e = std::numeric_limits<float>::quiet_NaN();
    }
    write<N, true>(y + (n * wide + i) * N, N, v);
  });
}

template <class From, class To, int N>
__global__ void __launch_bounds__(kVecThreads)
    sum_rows(EmbeddingDims d, const From* dy, const std::int32_t* index, To* dtable, bool adds) {
  const unsigned wide = unsigned(d.width / N);
  for_each_vec(std::size_t(d.rows), wide, [&](std::size_t row, unsigned i) {
    To* to = dtable + (row * wide + i) * N;
    float sum[N] = {}, v[N];
    if (adds) read<N, true>(to, N, sum);
    for (int n = 0; n < d.n; ++n) {
      if (index[n] != std::int32_t(row)) continue;
      read<N, true>(dy + (std::size_t(n) * wide + i) * N, N, v);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += v[k];
    }
    write<N, true>(to, N, sum);
  });
}

}  // namespace

template <>
void embedding_forward(CudaStream s, const EmbeddingDims& d, ConstAct table,
                       const std::int32_t* index, Act y) {
  dispatch(table.dtype, [&]<class F>(F) {
    dispatch(y.dtype, [&]<class T>(T) {
      channel_vectors<Wider<F, T>>(d.width, {table.data, y.data}, [&]<int N>() {
        const unsigned blocks = vec_blocks(std::size_t(d.n), std::size_t(d.width) / N);
        HAZE_LAUNCH((look_up<F, T, N>), s, blocks, kVecThreads, 0, d, table.as<F>(), index,
                    y.as<T>());
      });
    });
  });
}

template <>
void embedding_backward(CudaStream s, const EmbeddingDims& d, ConstAct dy,
                        const std::int32_t* index, Grad dtable) {
  if (!dtable) return;
  dispatch(dy.dtype, [&]<class F>(F) {
    dispatch(dtable.dtype, [&]<class T>(T) {
      channel_vectors<Wider<F, T>>(d.width, {dy.data, dtable.data}, [&]<int N>() {
        const unsigned blocks = vec_blocks(std::size_t(d.rows), std::size_t(d.width) / N);
        HAZE_LAUNCH((sum_rows<F, T, N>), s, blocks, kVecThreads, 0, d, dy.as<F>(), index,
                    dtable.as<T>(), dtable.adds());
      });
    });
  });
}

}  // namespace haze::kernels
