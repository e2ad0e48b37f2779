// SPDX-License-Identifier: MIT
// noise_tiles.h — the CPU backend's way to draw many numbers. Items are cut into tiles of kTile
// elements; Philox blocks within a tile are independent, so the loops vectorise over them.
// Included by kernels' .cpp files only.
#pragma once
#include <algorithm>

#include "kernels/base/noise.h"

namespace haze::kernels {

constexpr int kTile = 256;

inline int tiles_per_item(const ItemDims& d) { return (d.elements + kTile - 1) / kTile; }

/// Calls f(item, first, count, tile) for each tile, in OpenMP threads; f must not throw.
template <class F>
void for_each_tile(const ItemDims& d, F&& f) {
  const int per_item = tiles_per_item(d);
  const std::int64_t tiles = std::int64_t(d.n) * per_item;
#pragma omp parallel for schedule(static)
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const int first = int(tile % per_item) * kTile;
    f(int(tile / per_item), first, std::min(kTile, d.elements - first), tile);
  }
}

/// Draws of 16 consecutive blocks, word by word: bits[w][b] is word w of block first + b.
inline void random_blocks(const RandomKey& key, std::uint32_t item, std::uint32_t first,
                          std::uint32_t bits[4][16]) {
  const RandomKey k = key;  // a copy: the stores below cannot alias it
#pragma omp simd
  for (std::uint32_t b = 0; b < 16; ++b) {
    const Random4 r = random4(k, item, first + b);
    bits[0][b] = r.v[0];
    bits[1][b] = r.v[1];
    bits[2][b] = r.v[2];
    bits[3][b] = r.v[3];
  }
}

/// The same 16 blocks in the order of their elements: words[4·b + w].
inline void random_words(const RandomKey& key, std::uint32_t item, std::uint32_t first,
                         std::uint32_t words[64]) {
  const RandomKey k = key;
#pragma omp simd
  for (std::uint32_t b = 0; b < 16; ++b) {
    const Random4 r = random4(k, item, first + b);
    words[4 * b] = r.v[0];
    words[4 * b + 1] = r.v[1];
    words[4 * b + 2] = r.v[2];
    words[4 * b + 3] = r.v[3];
  }
}

/// z[0 .. count) = normals of elements first .. of `item`: what normal4 gives, block by block.
/// `first` is a multiple of 4; z [kTile] is overwritten up to the next multiple of 64.
inline void draw_normals(const RandomKey& key, std::uint32_t item, int first, int count, float* z) {
  for (int done = 0; done < count; done += 64) {
    std::uint32_t bits[4][16];
    random_blocks(key, item, std::uint32_t(first + done) / 4, bits);
    for (int pair = 0; pair < 2; ++pair) {
      float* out = z + done + 2 * pair;
#pragma omp simd
      for (int b = 0; b < 16; ++b)
        normal_pair(bits[2 * pair][b], bits[2 * pair + 1][b], &out[4 * b], &out[4 * b + 1]);
    }
  }
}

/// The normals of one tile: where they are given, or drawn into `scratch` [kTile].
inline const float* noise_of_tile(const Noise& noise, const ItemDims& d, int item, int first,
                                  int count, float* scratch) {
  if (noise.given) return noise.given + std::size_t(item) * d.elements + first;
  draw_normals(noise.key, noise.first_item + std::uint32_t(item), first, count, scratch);
  return scratch;
}

}  // namespace haze::kernels
