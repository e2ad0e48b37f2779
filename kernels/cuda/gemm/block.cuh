// SPDX-License-Identifier: MIT
// block.cuh — the main loop that every dense product of haze runs in: a block of threads computes
// one tile C[M,N] = A[M,K] B[K,N] with f32 sums.
//
//      k0           k0+K                 stages of shared memory, a ring
//    A ├──────┤──────┤──────┤──...      ┌──────┬──────┬──────┬──────┐
//    B ├──────┤──────┤──────┤──...      │ k0+3 │  k0  │ k0+1 │ k0+2 │
//                                       └──────┴──────┴──────┴──────┘
//                              being copied ┘      └ being multiplied
//
// Copies run kStages - 1 tiles ahead (cp.async), so that a tile has the time of several
// multiplications to arrive. One barrier per tile does both: everybody's copies of this tile are
// visible, and everybody has finished with the stage that is filled next.
//
// How the tile is multiplied is a policy: GemmMma (tensor cores: bf16, or f32 rounded to tf32) or
// GemmFma (exact f32). A policy keeps the sums in registers and at the end stages them in shared
// memory for the epilogue, so that the results leave in whole rows.
#pragma once
#include "kernels/cuda/mma.cuh"

namespace haze::kernels::gemm {
using mma::OperandTile;

/// Numbers between two rows of sums in shared memory, so that eight rows lie in different banks.
constexpr int kPad = 8;

/// mma.sync by warps in 2 rows: each computes MI x NI results of 16x8.
///
///         N ─────────────►                    one warp, MI = 2, NI = 4 (64x64 tile)
///       ┌────────┬────────┐                     ┌──8─┬──8─┬──8─┬──8─┐
///     M │ warp 0 │ warp 1 │ BM/2             16 │    │    │    │    │
///     │ ├────────┼────────┤                     ├────┼────┼────┼────┤
///     ▼ │ warp 2 │ warp 3 │                  16 │    │    │    │    │
///       └────────┴────────┘                     └────┴────┴────┴────┘
template <class Element, int BM, int BN, int columns_of_warps, int blocks_per_sm>
struct GemmMma {
  using T = Element;
  static constexpr int kM = BM, kN = BN, kK = 64 / int(sizeof(T)), kStages = 4;
  static constexpr int kThreads = 2 * columns_of_warps * 32, kBlocks = blocks_per_sm;
  static constexpr int MI = BM / 2 / 16, NI = BN / columns_of_warps / 8;

  mma::Accumulators<MI, NI> sums;

  HAZE_DEVICE void clear() { sums = {}; }
  HAZE_DEVICE static int warp_row() { return mma::warp_id() / columns_of_warps * (BM / 2); }
  HAZE_DEVICE static int warp_column() { return mma::warp_id() % columns_of_warps * NI * 8; }

  /// Where the thread reads in the tiles of A and B, found out once.
  template <class TileA, class TileB>
  struct Reads {
    mma::Fragments<mma::Side::left, TileA, MI> left{warp_row()};
    mma::Fragments<mma::Side::right, TileB, NI / 2> right{warp_column()};
  };

  template <class TileA, class TileB>
  HAZE_DEVICE void multiply(const Reads<TileA, TileB>& reads, const T* a, const T* b) {
#pragma unroll
    for (int k = 0; k < kK; k += mma::kDepth<T>) {
      std::uint32_t left[MI][4], right[NI / 2][4];
      reads.left.load(left, a, k);
      reads.right.load(right, b, k);
#pragma unroll
      for (int i = 0; i < MI; ++i)
#pragma unroll
        for (int j = 0; j < NI; j += 2)
          mma::multiply<T>(sums.v[i][j], sums.v[i][j + 1], left[i], right[j / 2]);
    }
  }

  /// The sums of the block's tile, row by row, into shared memory.
  template <class TileA, class TileB>
  HAZE_DEVICE void stage_epilogue(float* to) const {
    const int row = warp_row(), column = warp_column() + sums.column_in();
#pragma unroll
    for (int i = 0; i < MI; ++i)
#pragma unroll
      for (int j = 0; j < NI; ++j)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          store(to + (row + i * 16 + sums.row_in(half)) * (kN + kPad) + column + j * 8,
                Vec<float, 2>{sums.v[i][j][2 * half], sums.v[i][j][2 * half + 1]});
  }
};

/// Exact f32 in ordinary arithmetic: 64x64 by 128 threads of 8x4 sums each, in 2x2 warps of 4x8
/// threads. Reads of 16 bytes; threads of a warp that read the same address are served together,
/// and different addresses lie in different banks. Which 8 rows (4 columns) are a
/// thread's follows from that: groups of 4 neighbours where the tile's rows are k, else each 4th (8th).
struct GemmFma {
  using T = float;
  static constexpr int kM = 64, kN = 64, kK = 16, kStages = 4, kThreads = 128, kBlocks = 3;

  float sums[8][4];

  HAZE_DEVICE void clear() {
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) sums[i][j] = 0;
  }

  /// The thread's i-th row or column of the warp's 32, of `threads` that share them.
  template <bool k_major, int threads>
  HAZE_DEVICE static int index(int thread, int i) {
    return k_major ? i * threads + thread : (i / 4 * threads + thread) * 4 + i % 4;
  }

  /// 4 of k by n rows or columns.
  template <class Tile, int n, int threads>
  HAZE_DEVICE static void fragment(float (&to)[n][4], const T* tile, int warp, int thread, int k) {
    if constexpr (Tile::k_major) {
#pragma unroll
      for (int i = 0; i < n; ++i) {
        const auto v = load<4>(tile + Tile::at(warp + index<true, threads>(thread, i), k / 4));
#pragma unroll
        for (int e = 0; e < 4; ++e) to[i][e] = v[e];
      }
    } else {
#pragma unroll
      for (int i = 0; i < n; i += 4)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int vec = (warp + index<false, threads>(thread, i)) / 4;
          const auto v = load<4>(tile + Tile::at(k + e, vec));
#pragma unroll
          for (int j = 0; j < 4; ++j) to[i + j][e] = v[j];
        }
    }
  }

  struct FmaThread {
    int warp_row, warp_column, row, column;
    HAZE_DEVICE FmaThread()
        : warp_row(int(threadIdx.x) / 64 * 32),
          warp_column(int(threadIdx.x) / 32 % 2 * 32),
          row(int(threadIdx.x) % 32 / 8),
          column(int(threadIdx.x) % 8) {}
  };

  template <class TileA, class TileB>
  using Reads = FmaThread;

  template <class TileA, class TileB>
  HAZE_DEVICE void multiply(const FmaThread& at, const T* a, const T* b) {
#pragma unroll
    for (int k = 0; k < kK; k += 4) {
      float left[8][4], right[4][4];
      fragment<TileA, 8, 4>(left, a, at.warp_row, at.row, k);
      fragment<TileB, 4, 8>(right, b, at.warp_column, at.column, k);
#pragma unroll
      for (int e = 0; e < 4; ++e)
#pragma unroll
        for (int i = 0; i < 8; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) sums[i][j] = fmaf(left[i][e], right[j][e], sums[i][j]);
    }
  }

  template <class TileA, class TileB>
  HAZE_DEVICE void stage_epilogue(float* to) const {
    const FmaThread at;
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        to[(at.warp_row + index<TileA::k_major, 4>(at.row, i)) * (kN + kPad) + at.warp_column +
           index<TileB::k_major, 8>(at.column, j)] = sums[i][j];
  }
};

/// The policies in use. tf32 only where the stream asks for it (CudaStream::tf32).
template <class T>
using Small = std::conditional_t<sizeof(T) == 2, GemmMma<T, 64, 64, 2, 4>, GemmFma>;
using SmallTf32 = GemmMma<float, 64, 64, 2, 3>;

/// Where a product has so many tiles that blocks of 128x128 fill the device.
template <class T>
using Large = GemmMma<T, 128, 128, 4, 2>;
constexpr int kFullDevice = 128;

/// The shared memory of one block: the ring of stages, and afterwards the sums.
template <class Math>
constexpr std::size_t shared_bytes() {
  constexpr std::size_t ring =
      Math::kStages * std::size_t(Math::kM + Math::kN) * Math::kK * sizeof(typename Math::T);
  constexpr std::size_t sums = std::size_t(Math::kM) * (Math::kN + kPad) * sizeof(float);
  return ring > sums ? ring : sums;
}

/// The block's tile of C, summed over `count` tiles of k, left in shared memory as f32 rows of kN +
/// kPad. `shared` has shared_bytes<Math>(). A Walk goes along k:
///
///   TileA, TileB   how the operands' tiles lie in shared memory (OperandTile)
///   fetch(a, b)    starts the block's copies of the next tile of A and B to there
template <class Math, class Walk>
HAZE_DEVICE void product(Walk walk, int count, void* shared) {
  using T = typename Math::T;
  using TileA = typename Walk::TileA;
  using TileB = typename Walk::TileB;
  constexpr int kStages = Math::kStages, kStage = TileA::kSize + TileB::kSize;
  constexpr int kLast = (kStages - 1) * kStage;
  T* const ring = static_cast<T*>(shared);
  int to = 0, from = 0;     // the stages that are filled and multiplied next
  int left = count;         // to fetch
  const auto fetch = [&] {  // always closes a group
    if (left > 0) {
      walk.fetch(ring + to, ring + to + TileA::kSize);
      to = to == kLast ? 0 : to + kStage;
    }
    --left;
    ptx::cp_async_commit();
  };

  Math math;
  math.clear();
  const typename Math::template Reads<TileA, TileB> reads;
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) fetch();
#pragma unroll 1
  while (left > 1 - kStages) {
    ptx::cp_async_wait<kStages - 2>();  // this thread's copies of the oldest tile have arrived
    __syncthreads();                    // and everybody's; and the tile before has been multiplied
    fetch();                            // in the place of that one
    const T* const stage = ring + from;
    math.template multiply<TileA, TileB>(reads, stage, stage + TileA::kSize);
    from = from == kLast ? 0 : from + kStage;
  }
  ptx::cp_async_wait<0>();  // of empty groups
  __syncthreads();          // the ring becomes the place of the sums
  math.template stage_epilogue<TileA, TileB>(static_cast<float*>(shared));
  __syncthreads();
}

/// Calls f(row, column, float (&)[8]) for every 8 results of the block's tile: neighbouring threads
/// have neighbouring columns.
template <class Math, class F>
HAZE_DEVICE void each_result(const void* shared, F&& f) {
  constexpr int kRuns = Math::kN / 8;
  for (int i = int(threadIdx.x); i < Math::kM * kRuns; i += Math::kThreads) {
    const int row = i / kRuns, column = i % kRuns * 8;
    const float* from = static_cast<const float*>(shared) + row * (Math::kN + kPad) + column;
    float sums[8];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const auto v = load<4>(from + 4 * half);
#pragma unroll
      for (int e = 0; e < 4; ++e) sums[4 * half + e] = v[e];
    }
    f(row, column, sums);
  }
}

}  // namespace haze::kernels::gemm
