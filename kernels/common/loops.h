// loops.h — small loops that several kernels of the CPU backend share. Included by .cpp files only.
#pragma once
#include <algorithm>
#include <cstddef>

namespace haze::kernels::loops {

/// to[i] = from[i], or += with `adds`, for i < n.
template <class From, class To>
void deliver(std::size_t n, const From* from, To* to, bool adds) {
  if (adds) {
#pragma omp parallel for simd schedule(static)
    for (std::size_t i = 0; i < n; ++i) to[i] = float(to[i]) + float(from[i]);
  } else {
#pragma omp parallel for simd schedule(static)
    for (std::size_t i = 0; i < n; ++i) to[i] = float(from[i]);
  }
}

/// sums[k,c] = Σ of x[r,c] over the k-th `chunk` of the rows; x is [rows,columns], the last chunk
/// may be shorter. The chunks do not depend on the number of threads, so neither does the result.
template <class T>
void sum_chunks(int rows, int columns, int chunk, const T* x, float* sums) {
  const int chunks = (rows + chunk - 1) / chunk;
#pragma omp parallel for schedule(static)
  for (int k = 0; k < chunks; ++k) {
    float* sum = sums + std::size_t(k) * columns;
    std::fill_n(sum, columns, 0.f);
    for (int r = k * chunk; r < std::min(rows, (k + 1) * chunk); ++r) {
      const T* row = x + std::size_t(r) * columns;
#pragma omp simd
      for (int c = 0; c < columns; ++c) sum[c] += float(row[c]);
    }
  }
}

/// out[c] = Σ_k sums[k,c] in order of k, or += with `adds`.
inline void sum_rows(int rows, int columns, const float* sums, float* out, bool adds) {
  if (!adds) std::fill_n(out, columns, 0.f);
  for (int k = 0; k < rows; ++k)
    for (int c = 0; c < columns; ++c) out[c] += sums[std::size_t(k) * columns + c];
}

/// Column sums of a tall matrix: at most kChunks partial sums, scratch of kChunks·columns floats.
constexpr int kChunks = 32;
template <class T>
void column_sums(int rows, int columns, const T* x, float* out, bool adds, float* scratch) {
  const int chunk = (rows + kChunks - 1) / kChunks;
  sum_chunks(rows, columns, chunk, x, scratch);
  sum_rows((rows + chunk - 1) / chunk, columns, scratch, out, adds);
}

}  // namespace haze::kernels::loops
