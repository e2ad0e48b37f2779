// SPDX-License-Identifier: MIT
// stager.cuh — how tiles of the operands get into shared memory: 16-byte vectors of a matrix in global
// memory, copied asynchronously to where the tile wants them (OperandTile of mma.cuh).
#pragma once
#include "kernels/cuda/mma.cuh"

namespace haze::kernels::gemm {
using mma::OperandTile;

/// Brings tiles of one matrix into shared memory. A Source is that matrix:
///
///   fixed(mn)        what of an address follows from the row or column, prepared once
///   moving(k)        what follows from the summed index, prepared for each tile
///   at(fixed, moving)  the element's address, or null where the matrix is 0
///
/// With `vector`, 16 bytes from an address are the next elements of the matrix, and the vector is
/// copied asynchronously. Otherwise (channels that do not fill 16 bytes) single elements make it
/// up, read and stored by the thread itself.
template <class Tile, int threads, bool vector, class Source>
struct Stager {
  using T = typename Tile::T;
  static constexpr int V = mma::kVec16<T>, kStep = threads / Tile::kVecs;
  static constexpr int kCount = Tile::kRows / kStep;  // of a thread, in one column of the tile
  static_assert(threads % Tile::kVecs == 0 && Tile::kRows % kStep == 0);

  const Source& source;
  const int mn0, row, vec;
  typename Source::Fixed fixed[Tile::k_major ? kCount : 1];

  HAZE_DEVICE Stager(const Source& from, int first_mn, int thread)
      : source(from), mn0(first_mn), row(thread / Tile::kVecs), vec(thread % Tile::kVecs) {
    if constexpr (Tile::k_major) {
#pragma unroll
      for (int j = 0; j < kCount; ++j) fixed[j] = source.fixed(mn0 + row + j * kStep);
    } else {
      fixed[0] = source.fixed(mn0 + vec * V);
    }
  }

  /// Starts the copy of columns [k0, k0 + K) of the summed index.
  HAZE_DEVICE void fetch(T* tile, int k0) const {
    if constexpr (vector && Tile::k_major) {
      const auto moving = source.moving(k0 + vec * V);
#pragma unroll
      for (int j = 0; j < kCount; ++j) copy(tile, j, source.at(fixed[j], moving));
    } else if constexpr (vector) {
#pragma unroll
      for (int j = 0; j < kCount; ++j)
        copy(tile, j, source.at(fixed[0], source.moving(k0 + row + j * kStep)));
    } else {
#pragma unroll
      for (int j = 0; j < kCount; ++j) {
        Vec<T, V> v;
#pragma unroll
        for (int e = 0; e < V; ++e) {
          const T* p = Tile::k_major ? source.at(fixed[j], source.moving(k0 + vec * V + e))
                                     : source.at(source.fixed(mn0 + vec * V + e),
                                                 source.moving(k0 + row + j * kStep));
          v[e] = p ? *p : T(0.f);
        }
        store(tile + Tile::at(row + j * kStep, vec), v);
      }
    }
  }

 private:
  HAZE_DEVICE void copy(T* tile, int j, const T* from) const {
    ptx::cp_async16(tile + Tile::at(row + j * kStep, vec), from ? from : source.any(),
                    from ? 16 : 0);
  }
};

}  // namespace haze::kernels::gemm
