// SPDX-License-Identifier: MIT
// vec.h — what CUDA kernels share: vector accesses, sums over a warp and over a block.
#pragma once
#include <initializer_list>

#include "kernels/base/dtype.h"
#include "kernels/cuda/simt.h"

namespace haze::kernels {

/// N consecutive elements that travel in one access; at most 16 bytes.
template <class T, int N>
struct alignas(sizeof(T) * N) Vec {
  static_assert(sizeof(T) * N <= 16 && (N & (N - 1)) == 0);
  T v[N];
  HAZE_HD T& operator[](int i) { return v[i]; }
  HAZE_HD const T& operator[](int i) const { return v[i]; }
};

/// p is a multiple of N elements from an aligned start.
template <int N, class T>
HAZE_DEVICE Vec<T, N> load(const T* p) {
  simt::check_vector(p, sizeof(Vec<T, N>));
  return *reinterpret_cast<const Vec<T, N>*>(p);
}
template <int N, class T>
HAZE_DEVICE void store(T* p, const Vec<T, N>& v) {
  simt::check_vector(p, sizeof(Vec<T, N>));
  *reinterpret_cast<Vec<T, N>*>(p) = v;
}

/// This thread among all of a one-dimensional grid, and how many those are: for grid-stride loops.
HAZE_DEVICE std::size_t thread_of_grid() {
  return std::size_t(blockIdx.x) * blockDim.x + threadIdx.x;
}
HAZE_DEVICE std::size_t threads_of_grid() { return std::size_t(gridDim.x) * blockDim.x; }

/// Sum over the warp's 32 lanes, in every lane; the same order on every run.
HAZE_DEVICE float warp_sum(float v) {
  for (int lanes = 16; lanes > 0; lanes /= 2) v += __shfl_xor_sync(0xffffffffu, v, lanes);
  return v;
}
HAZE_DEVICE double warp_sum(double v) {
  for (int lanes = 16; lanes > 0; lanes /= 2) v += __shfl_xor_sync(0xffffffffu, v, lanes);
  return v;
}

/// Sum over the block, in every thread. blockDim.x a multiple of 32, the other extents 1. `partial`
/// is a HAZE_SHARED(T[32], partial) of the kernel, free to be used again after the call.
template <class T>
HAZE_DEVICE T block_sum(T v, T (&partial)[32]) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  v = warp_sum(v);
  if (lane == 0) partial[warp] = v;
  __syncthreads();
  v = warp_sum(lane < int(blockDim.x) / 32 ? partial[lane] : T(0));
  __syncthreads();  // everybody has read before the next call writes
  return v;
}

/// Calls f.operator()<N>(first, vectors): elements [first, first + N·vectors) in vectors of N, once
/// for what goes in vectors of 16 bytes and once, with N = 1, for the rest; all of it if one of the
/// pointers is not 16-byte aligned.
template <class T, class F>
void each_vector(std::size_t n, std::initializer_list<const void*> pointers, F&& f) {
  constexpr int N = int(16 / sizeof(T));
  bool aligned = true;
  for (const void* p : pointers) aligned &= reinterpret_cast<std::uintptr_t>(p) % 16 == 0;
  const std::size_t vectors = aligned ? n / N : 0;
  if (vectors > 0) f.template operator()<N>(0, vectors);
  if (vectors * N < n) f.template operator()<1>(vectors * N, n - vectors * N);
}

/// Blocks of `threads` that cover n, at most `most`: for grid-stride loops.
inline unsigned blocks_for(std::size_t n, unsigned threads, unsigned most = 132 * 16) {
  const std::size_t blocks = (n + threads - 1) / threads;
  return unsigned(blocks < 1 ? 1 : blocks < most ? blocks : most);
}

}  // namespace haze::kernels
