// SPDX-License-Identifier: MIT
// stager.cuh — tiles of matrices whose rows do not all fill vectors of 16 bytes (images of 1 or 3
// channels), for layers in which few products are summed: each address is computed where it is
// needed.
#pragma once
#include "kernels/cuda/mma.cuh"

namespace haze::kernels::gemm {
using mma::OperandTile;

/// Brings tiles of one matrix into shared memory. A Source is that matrix:
///
///   fixed(mn)        what of an address follows from the row or column
///   moving(k)        what follows from the summed index
///   at(fixed, moving)  the element's address, or null where the matrix is 0
///
/// With `vector`, 16 bytes from an address are the next elements of the matrix, and the vector is
/// copied asynchronously. Otherwise single elements make it up, read and stored by the thread.
template <class Tile, int threads, bool vector, class Source>
struct Stager {
  using T = typename Tile::T;
  static constexpr int V = mma::kVec16<T>, kStep = threads / Tile::kVecs;
  static constexpr int kCount = Tile::kRows / kStep;  // of a thread, in one column of the tile
  static constexpr int kFixed = Tile::k_major ? kCount : vector ? 1 : V;
  static_assert(threads % Tile::kVecs == 0 && Tile::kRows % kStep == 0);

  Source source;
  int row, vec;
  typename Source::Fixed fixed[kFixed];

  HAZE_DEVICE Stager(const Source& from, int mn0, int thread)
      : source(from), row(thread / Tile::kVecs), vec(thread % Tile::kVecs) {
#pragma unroll
    for (int i = 0; i < kFixed; ++i)
      fixed[i] = source.fixed(mn0 + (Tile::k_major ? row + i * kStep : vec * V + i));
  }

  /// Copies columns [k0, k0 + K) of the summed index.
  HAZE_DEVICE void fetch(T* tile, int k0) const {
    if constexpr (!vector) {
      fetch_elements(tile, k0);
    } else if constexpr (Tile::k_major) {
      const auto moving = source.moving(k0 + vec * V);
#pragma unroll
      for (int j = 0; j < kCount; ++j) copy(tile, j, source.at(fixed[j], moving));
    } else {
#pragma unroll
      for (int j = 0; j < kCount; ++j)
        copy(tile, j, source.at(fixed[0], source.moving(k0 + row + j * kStep)));
    }
  }

 private:
  HAZE_DEVICE void copy(T* tile, int j, const T* from) const {
    ptx::cp_async16(tile + Tile::at(row + j * kStep, vec), from ? from : source.any(),
                    from ? 16 : 0);
  }
  HAZE_DEVICE void fetch_elements(T* tile, int k0) const {
    Vec<T, V> v[kCount];
    const auto read = [&](int j, int e, const T* p) { v[j][e] = p ? *p : T(0.f); };
    if constexpr (Tile::k_major) {
#pragma unroll
      for (int e = 0; e < V; ++e) {
        const auto moving = source.moving(k0 + vec * V + e);
#pragma unroll
        for (int j = 0; j < kCount; ++j) read(j, e, source.at(fixed[j], moving));
      }
    } else {
#pragma unroll
      for (int j = 0; j < kCount; ++j) {
        const auto moving = source.moving(k0 + row + j * kStep);
#pragma unroll
        for (int e = 0; e < V; ++e) read(j, e, source.at(fixed[e], moving));
      }
    }
#pragma unroll
    for (int j = 0; j < kCount; ++j) store(tile + Tile::at(row + j * kStep, vec), v[j]);
  }
};

/// The Walk of a product of two such matrices, from tile `first` of k on.
template <class Math, bool a_k_major, bool b_k_major, bool a_vector, bool b_vector, class A,
          class B>
struct Staged {
  using T = typename Math::T;
  using TileA = OperandTile<T, Math::kM, Math::kK, a_k_major>;
  using TileB = OperandTile<T, Math::kN, Math::kK, b_k_major>;
  Stager<TileA, Math::kThreads, a_vector, A> from_a;
  Stager<TileB, Math::kThreads, b_vector, B> from_b;
  int k;

  HAZE_DEVICE Staged(const A& a, const B& b, int m0, int n0, int first, int thread)
      : from_a(a, m0, thread), from_b(b, n0, thread), k(first * Math::kK) {}
  HAZE_DEVICE void fetch(T* a, T* b) {
    from_a.fetch(a, k);
    from_b.fetch(b, k);
    k += Math::kK;
  }
};

}  // namespace haze::kernels::gemm
