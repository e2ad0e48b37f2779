// SPDX-License-Identifier: MIT
// noise_quads.h — normals for CUDA kernels: a thread takes the four of one Philox block, drawn in
// registers or read, so nothing random is ever in memory. Same bits as the CPU backend draws.
#pragma once
#include "kernels/base/noise.h"
#include "kernels/cuda/rows.h"

namespace haze::kernels {

constexpr int kNormals = 4;  // of one block of Philox

inline int normal_blocks(int elements) { return (elements + kNormals - 1) / kNormals; }

/// z = the normals of elements 4·block .. of item n: given, or drawn. `noise` is resolved.
template <bool kWhole>
HAZE_DEVICE void normals_of(const Noise& noise, const ItemDims& d, std::size_t n, unsigned block,
                            float (&z)[kNormals]) {
  const int first = int(block) * kNormals;
  if (noise.given)
    read<kNormals, kWhole>(noise.given + n * d.elements + first, d.elements - first, z);
  else
    normal4(noise.key, noise.first_item + std::uint32_t(n), block, z);
}

}  // namespace haze::kernels
