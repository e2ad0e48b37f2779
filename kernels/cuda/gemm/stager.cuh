// SPDX-License-Identifier: MIT
// stager.cuh — tiles of matrices whose rows do not fill vectors of 16 bytes (images of 1 or 3 channels):
// single elements, read and stored by the threads themselves.
#pragma once
#include "kernels/cuda/mma.cuh"

namespace haze::kernels::gemm {
using mma::OperandTile;

/// Brings tiles of one matrix into shared memory. A Source is that matrix:
///
///   fixed(mn)        what of an address follows from the row or column
///   moving(k)        what follows from the summed index
///   at(fixed, moving)  the element's address, or null where the matrix is 0
template <class Tile, int threads, class Source>
struct Stager {
  using T = typename Tile::T;
  static constexpr int V = mma::kVec16<T>, kStep = threads / Tile::kVecs;
  static constexpr int kCount = Tile::kRows / kStep;  // of a thread, in one column of the tile
  static_assert(threads % Tile::kVecs == 0 && Tile::kRows % kStep == 0);

  Source source;
  int mn0, row, vec;

  HAZE_DEVICE Stager(const Source& from, int first_mn, int thread)
      : source(from), mn0(first_mn), row(thread / Tile::kVecs), vec(thread % Tile::kVecs) {}

  /// Copies columns [k0, k0 + K) of the summed index.
  HAZE_DEVICE void fetch(T* tile, int k0) const {
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      Vec<T, V> v;
#pragma unroll
      for (int e = 0; e < V; ++e) {
        const int mn = Tile::k_major ? row + j * kStep : vec * V + e;
        const int k = Tile::k_major ? vec * V + e : row + j * kStep;
        const T* p = source.at(source.fixed(mn0 + mn), source.moving(k0 + k));
        v[e] = p ? *p : T(0.f);
      }
      store(tile + Tile::at(row + j * kStep, vec), v);
    }
  }
};

/// The Walk of a product of two such matrices, from tile `first` of k on.
template <class Math, bool a_k_major, bool b_k_major, class A, class B>
struct ByElements {
  using T = typename Math::T;
  using TileA = OperandTile<T, Math::kM, Math::kK, a_k_major>;
  using TileB = OperandTile<T, Math::kN, Math::kK, b_k_major>;
  Stager<TileA, Math::kThreads, A> from_a;
  Stager<TileB, Math::kThreads, B> from_b;
  int k;

  HAZE_DEVICE ByElements(const A& a, const B& b, int m0, int n0, int first, int thread)
      : from_a(a, m0, thread), from_b(b, n0, thread), k(first * Math::kK) {}
  HAZE_DEVICE void fetch(T* a, T* b) {
    from_a.fetch(a, k);
    from_b.fetch(b, k);
    k += Math::kK;
  }
};

}  // namespace haze::kernels::gemm
