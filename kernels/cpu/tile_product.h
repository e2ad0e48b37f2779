// SPDX-License-Identifier: MIT
// tile_product.h — the matrix product in cache that attention and the linear layer are made of.
//
// C [m, n] = A B with n a multiple of kLanes and everything in cache: A is read one number at a
// time and broadcast, B and C by vectors. Each element of C is one chain of fused multiply-adds in
// rising k, so the bits depend neither on how rows are split into tiles nor on the vector width,
// and a sum may be continued from call to call. That and any shape down to one are what a
// library's product would not give.
#pragma once
#include <algorithm>
#include <cstddef>
#if defined(__FMA__)
#include <immintrin.h>
#endif

namespace haze::kernels::tiles {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kTileRows = 8;  // 16 accumulators of 32 registers
#elif defined(__AVX__)
constexpr int kLanes = 8, kTileRows = 6;  // 12 of 16
#else
constexpr int kLanes = 4, kTileRows = 4;
#endif
using Lanes [[gnu::vector_size(kLanes * sizeof(float)), gnu::may_alias]] = float;
using AnyLanes [[gnu::vector_size(kLanes * sizeof(float)), gnu::may_alias, gnu::aligned(4)]] =
    float;  // at any address

/// a·b + c, fused wherever the build's instruction set can: written as a product and a sum, GCC
/// tuned for Zen fuses it in some tiles and not in others.
inline Lanes multiply_add(float a, Lanes b, Lanes c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(_mm512_set1_ps(a), b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(_mm256_set1_ps(a), b, c);
#else
  return c + a * b;
#endif
}

/// A [m, k] by strides, so that a transposed matrix is the same numbers with the strides swapped.
struct Broadcast {
  const float* data;
  std::ptrdiff_t row, col;
};
/// B or C: rows of whole vectors, C's aligned to one.
template <class T>
struct Rows {
  T* data;
  std::ptrdiff_t stride;
};

template <int kM, int kV>
inline void tile(int k_end, Broadcast a, Rows<const float> b, Rows<float> c, bool add) {
  Lanes acc[kM][kV];
  for (int i = 0; i < kM; ++i)
    for (int v = 0; v < kV; ++v)
      acc[i][v] = add ? reinterpret_cast<const Lanes*>(c.data + i * c.stride)[v] : Lanes{};
  for (int k = 0; k < k_end; ++k) {
    // Not auto, which forgets that the address may be any.
    const AnyLanes* const bk = reinterpret_cast<const AnyLanes*>(b.data + k * b.stride);
    for (int i = 0; i < kM; ++i)
      for (int v = 0; v < kV; ++v)
        acc[i][v] = multiply_add(a.data[i * a.row + k * a.col], bk[v], acc[i][v]);
  }
  for (int i = 0; i < kM; ++i)
    for (int v = 0; v < kV; ++v) reinterpret_cast<Lanes*>(c.data + i * c.stride)[v] = acc[i][v];
}

template <int kM, int kV>
void rows_of_tiles(int m, int k, Broadcast a, Rows<const float> b, Rows<float> c, bool add) {
  for (; m >= kM; m -= kM, a.data += kM * a.row, c.data += kM * c.stride)
    tile<kM, kV>(k, a, b, c, add);
  if constexpr (kM > 1)
    if (m > 0) rows_of_tiles<kM / 2, kV>(m, k, a, b, c, add);
}

/// C = A B, or C += A B. n is a multiple of kLanes.
inline void product(int m, int n, int k, Broadcast a, Rows<const float> b, Rows<float> c,
                    bool add = false) {
  for (; n >= 2 * kLanes; n -= 2 * kLanes, b.data += 2 * kLanes, c.data += 2 * kLanes)
    rows_of_tiles<kTileRows, 2>(m, k, a, b, c, add);
  if (n > 0) rows_of_tiles<kTileRows, 1>(m, k, a, b, c, add);
}

}  // namespace haze::kernels::tiles
