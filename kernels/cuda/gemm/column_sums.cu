// SPDX-License-Identifier: MIT
// column_sums.cu — sums over the rows of tall matrices: the gradients of biases.
//
// A block takes a chunk of one matrix's rows and up to 128 columns. Neighbouring threads take
// neighbouring columns, the rest of the block further rows; a tree in shared memory joins them.
// The chunks' sums are rows of a matrix again, and the same kernel adds them up. Chunks follow from
// the shape alone. One pass over x, 4 or 16 bytes per thread and access.
#include <algorithm>

#include "kernels/cuda/gemm/gemm.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels::gemm {
namespace {

constexpr int kThreads = 256;

/// y[group, chunk, c] (+)= Σ over the chunk's rows of x[group, row, c]. Blocks of (columns / N,
/// rows) threads; blockIdx is (columns, chunk, group).
template <class T, int N, class Y>
__global__ void __launch_bounds__(kThreads)
    sum_rows(int rows, int columns, int chunk, const T* x, bool adds, Y* y) {
  HAZE_SHARED(float[kThreads * N], partial);
  const int across = int(blockDim.x), down = int(blockDim.y);
  const int column = (int(blockIdx.x) * across + int(threadIdx.x)) * N;
  const int first = int(blockIdx.y) * chunk;
  const int last = first + chunk < rows ? first + chunk : rows;
  const T* from = x + std::size_t(blockIdx.z) * rows * columns + column;
  float sum[N] = {};
  if (column < columns)
    for (int r = first + int(threadIdx.y); r < last; r += down) {
      const auto v = load<N>(from + std::size_t(r) * columns);
#pragma unroll
      for (int e = 0; e < N; ++e) sum[e] += float(v[e]);
    }
  const int at = (int(threadIdx.y) * across + int(threadIdx.x)) * N;
#pragma unroll
  for (int e = 0; e < N; ++e) partial[at + e] = sum[e];
  for (int half = down / 2; half > 0; half /= 2) {
    __syncthreads();
    if (int(threadIdx.y) < half)
#pragma unroll
      for (int e = 0; e < N; ++e) partial[at + e] += partial[at + half * across * N + e];
  }
  if (threadIdx.y > 0 || column >= columns) return;
  Y* to = y + (std::size_t(blockIdx.z) * gridDim.y + blockIdx.y) * columns + column;
#pragma unroll
  for (int e = 0; e < N; ++e) to[e] = Y(partial[at + e] + (adds ? float(to[e]) : 0.f));
}

template <class T, class Y>
void launch(CudaStream s, int groups, int rows, int columns, int chunk, const T* x, bool adds,
            Y* y) {
  const auto run = [&]<int N>(auto* kernel, std::integral_constant<int, N>) {
    unsigned across = 1;
    while (across < 32 && int(across) * N < columns) across *= 2;
    const dim3 grid(unsigned(columns + int(across) * N - 1) / (across * N),
                    unsigned(rows + chunk - 1) / unsigned(chunk), unsigned(groups));
    HAZE_LAUNCH(kernel, s, grid, dim3(across, kThreads / across), 0, rows, columns, chunk, x, adds,
                y);
  };
  const bool whole = columns % 4 == 0 && reinterpret_cast<std::uintptr_t>(x) % 16 == 0;
  whole ? run(sum_rows<T, 4, Y>, std::integral_constant<int, 4>{})
        : run(sum_rows<T, 1, Y>, std::integral_constant<int, 1>{});
}

/// Rows per chunk: at least 64, and at most 256 chunks in all groups together.
int chunk_of(int groups, int rows) {
  const int most = std::max(1, 256 / groups);
  return std::max(64, (rows + most - 1) / most);
}

}  // namespace

std::size_t column_sums_scratch_bytes(int groups, int rows, int columns) {
  const int chunk = chunk_of(groups, rows);
  return sizeof(float) * groups * ((rows + chunk - 1) / chunk) * columns;
}

void column_sums(CudaStream s, const ColumnSums& c, void* scratch) {
  const int chunk = chunk_of(c.groups, c.rows), chunks = (c.rows + chunk - 1) / chunk;
  HAZE_CHECK(c.groups < 1 << 16, c.groups, " groups");
  float* const sums = static_cast<float*>(scratch);
  dispatch(c.x.dtype, [&]<class T>(T) {
    launch(s, c.groups, c.rows, c.columns, chunk, c.x.as<T>(), false, sums);
  });
  const auto join = [&](int groups, int rows, const Grad& to) {
    dispatch(to.dtype, [&]<class Y>(Y) {
      launch(s, groups, rows, c.columns, rows, sums, to.adds(), to.as<Y>());
    });
  };
  if (c.per_group) join(c.groups, chunks, c.per_group);
  if (c.all) join(1, c.groups * chunks, c.all);
}

}  // namespace haze::kernels::gemm
