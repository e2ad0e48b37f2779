// SPDX-License-Identifier: MIT
// loops.h — small loops that several kernels of the CPU backend share. Included by .cpp files only.
#pragma once
#include <algorithm>
#include <cstddef>

#include "kernels/base/dtype.h"

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

/// y[p,:] = a[p,:] then b[p,:], of ca and cb channels, one pass: each pixel's as two runs.
template <class T>
void join_channels(std::size_t pixels, std::size_t ca, std::size_t cb, const T* a, const T* b,
                   T* y) {
#pragma omp parallel for schedule(static)
  for (std::size_t p = 0; p < pixels; ++p) {
    T* out = y + p * (ca + cb);
    std::copy_n(a + p * ca, ca, out);
    std::copy_n(b + p * cb, cb, out + ca);
  }
}

/// The way back: da and db from dy, each by its own mode; null is skipped.
template <class T>
void split_channels(std::size_t pixels, std::size_t ca, std::size_t cb, const T* dy, const Grad& da,
                    const Grad& db) {
  const auto run = [](const T* from, std::size_t n, T* to, bool adds) {
    if (!adds) {
      std::copy_n(from, n, to);
      return;
    }
#pragma omp simd
    for (std::size_t i = 0; i < n; ++i) to[i] = float(to[i]) + float(from[i]);
  };
  T* const to_a = da ? da.as<T>() : nullptr;
  T* const to_b = db ? db.as<T>() : nullptr;
#pragma omp parallel for schedule(static)
  for (std::size_t p = 0; p < pixels; ++p) {
    const T* in = dy + p * (ca + cb);
    if (to_a) run(in, ca, to_a + p * ca, da.adds());
    if (to_b) run(in + ca, cb, to_b + p * cb, db.adds());
  }
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
