// SPDX-License-Identifier: MIT
// rows.h — what bandwidth-bound CUDA kernels share: the mapping of a matrix of vectors to
// threads, and the accesses to one vector. A vector (vec) is what one thread takes at a time: some
// channels of a pixel, or the elements of one Philox block.
#pragma once
#include "kernels/cuda/vec.h"

namespace haze::kernels {

constexpr int kVecThreads = 256, kVecsEach = 2;  // a block takes 512 neighbours

/// Blocks of kVecThreads that for_each_vec needs: at least one, a grid cannot be empty.
inline unsigned vec_blocks(std::size_t rows, std::size_t columns) {
  constexpr std::size_t kBlock = kVecThreads * kVecsEach;
  const std::size_t vecs = rows * columns;
  return vecs == 0 ? 1 : unsigned((vecs + kBlock - 1) / kBlock);
}

/// Calls f(row, column) for every vector of [rows, columns], neighbours in memory by neighbouring
/// threads whatever `columns` is. Only a block's first vector takes a 64-bit division.
template <class F>
HAZE_DEVICE void for_each_vec(std::size_t rows, unsigned columns, F f) {
  const std::size_t first = std::size_t(blockIdx.x) * (kVecThreads * kVecsEach);
  const std::size_t first_row = first / columns;
  const unsigned first_column = unsigned(first - first_row * columns);
#pragma unroll
  for (unsigned k = 0; k < kVecsEach; ++k) {
    const unsigned at = first_column + threadIdx.x + k * kVecThreads, down = at / columns;
    if (first_row + down < rows) f(first_row + down, at - down * columns);
  }
}

/// v = K values at p. kWhole: in vectors of up to 16 bytes, p aligned to them; else one by one, the
/// first `count` of them and zeros.
template <int K, bool kWhole, class T>
HAZE_DEVICE void read(const T* p, int count, float (&v)[K]) {
  constexpr int N = K * sizeof(T) <= 16 ? K : int(16 / sizeof(T));
  if constexpr (kWhole) {
#pragma unroll
    for (int i = 0; i < K; i += N) {
      const Vec<T, N> part = load<N>(p + i);
#pragma unroll
      for (int k = 0; k < N; ++k) v[i + k] = part[k];
    }
  } else {
#pragma unroll
    for (int k = 0; k < K; ++k) v[k] = k < count ? float(p[k]) : 0.0f;
  }
}

/// The other way.
template <int K, bool kWhole, class T>
HAZE_DEVICE void write(T* p, int count, const float (&v)[K]) {
  constexpr int N = K * sizeof(T) <= 16 ? K : int(16 / sizeof(T));
  if constexpr (kWhole) {
#pragma unroll
    for (int i = 0; i < K; i += N) {
      Vec<T, N> part;
#pragma unroll
      for (int k = 0; k < N; ++k) part[k] = v[i + k];
      store(p + i, part);
    }
  } else {
#pragma unroll
    for (int k = 0; k < K; ++k)
      if (k < count) p[k] = v[k];
  }
}

inline bool aligned16(std::initializer_list<const void*> pointers) {
  bool aligned = true;
  for (const void* p : pointers) aligned &= reinterpret_cast<std::uintptr_t>(p) % 16 == 0;
  return aligned;
}

/// Calls f.operator()<N>() with the widest vector of T that rows of `channels` elements allow at
/// these (aligned) pointers: 16 bytes, or one element.
template <class T, class F>
void channel_vectors(int channels, std::initializer_list<const void*> pointers, F&& f) {
  constexpr int N = int(16 / sizeof(T));
  if (channels % N == 0 && aligned16(pointers)) return f.template operator()<N>();
  f.template operator()<1>();
}

/// Calls f.operator()<whole>(): may rows of `elements` values be read K at a time in vectors?
template <int K, class F>
void whole_vecs(int elements, std::initializer_list<const void*> pointers, F&& f) {
  if (elements % K == 0 && aligned16(pointers)) return f.template operator()<true>();
  f.template operator()<false>();
}

/// The larger of two element types: vectors of both have as many elements as 16 bytes hold of it.
template <class A, class B>
using Wider = std::conditional_t<(sizeof(A) > sizeof(B)), A, B>;

}  // namespace haze::kernels
