// SPDX-License-Identifier: MIT
// mma.cuh — matrix products on tensor cores out of shared memory, as warps see them: where the
// 16-byte vectors of a tile lie, how a warp loads a fragment of it, and how two fragments multiply.
// The products of gemm/ and of attention are made of these.
//
// Shared memory has 32 banks of 4 bytes, so eight vectors that are read together must differ in
// their position modulo 128 bytes. ldmatrix reads one vector of eight consecutive rows; therefore
// each row's vectors are stored in an order of its own, XORed with the row's number (a swizzle):
//
//   rows of 64 bytes      row 0   0 1 2 3     rows of 128 or more   row 0   0 1 2 3 4 5 6 7
//   (two in 128 bytes)    row 1   0 1 2 3                           row 1   1 0 3 2 5 4 7 6
//                         row 2   1 0 3 2                           row 2   2 3 0 1 6 7 4 5
//                         row 3   1 0 3 2                           ...
//
// Eight neighbouring vectors of one row are in different banks too, as every copy needs it.
#pragma once
#include "kernels/cuda/ptx.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels::mma {

HAZE_DEVICE int lane_id() { return int(threadIdx.x) % 32; }
HAZE_DEVICE int warp_id() { return int(threadIdx.x) / 32; }

/// Elements of T in a vector of 16 bytes: what one cp.async copies, and one row of an ldmatrix.
template <class T>
constexpr int kVec16 = int(16 / sizeof(T));

/// Where vector v of row `row` starts, in elements, in a tile whose rows are `vecs` vectors.
/// `row_pairs`: for warps that read, without ldmatrix, two neighbouring vectors of four rows.
template <class T, int vecs, bool row_pairs = false>
HAZE_DEVICE int swizzle(int row, int v) {
  static_assert(vecs == 4 || vecs % 8 == 0);
  const int order = vecs == 4 ? row >> 1 & 3 : row_pairs ? (row & 3) << 1 : row & 7;
  return (row * vecs + (v ^ order)) * kVec16<T>;
}

/// An operand in shared memory: MN rows of the left matrix (or columns of the right one) by K of
/// the summed index. Whichever of the two is contiguous in global memory is contiguous here:
///
///   k_major    rows are mn, a row holds K numbers     (x in forward: channels are summed)
///   otherwise  rows are k, a row holds MN numbers     (gradient of weights: pixels are summed)
template <class Element, int MN, int K, bool is_k_major>
struct OperandTile {
  using T = Element;
  static constexpr bool k_major = is_k_major;
  static constexpr int kRows = k_major ? MN : K, kVecs = (k_major ? K : MN) / kVec16<T>;
  static constexpr int kSize = MN * K;

  /// Where vector v of a row starts, in elements.
  HAZE_DEVICE static int at(int row, int v) {
    constexpr bool kPairs = sizeof(T) == 4 && !k_major;
    return swizzle<T, kVecs, kPairs>(row, v);
  }
};

/// Of the summed index, what one mma.sync takes: 16 of bf16, 8 of tf32.
template <class T>
constexpr int kDepth = 2 * kVec16<T>;

enum class Side : std::uint8_t { left, right };

/// Of f32, what tensor cores multiply; nothing happens to bf16.
template <class T>
HAZE_DEVICE void round_to_tf32(std::uint32_t (&r)[4]) {
  if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int j = 0; j < 4; ++j) r[j] = ptx::to_tf32(__uint_as_float(r[j]));
  }
}

/// The warp's fragment of 16 mn by kDepth k of a tile at (mn, k), as four 8x8 (tf32: 8x4) matrices
/// in the order in which mma.sync wants their registers: of the left operand (0,0) (8,0) (0,½)
/// (8,½), of the right one (0,0) (0,½) for eight columns, then (8,0) (8,½) for the next eight. f32 is
/// rounded to tf32.
template <Side side, class Tile, class T = typename Tile::T>
HAZE_DEVICE void load_fragment(std::uint32_t (&r)[4], const T* tile, int mn, int k) {
  constexpr int V = kVec16<T>;
  const auto lower = [](int i) { return side == Side::left ? i % 2 : i / 2; };   // 8 further of mn
  const auto deeper = [](int i) { return side == Side::left ? i / 2 : i % 2; };  // the half of k
  const int lane = lane_id(), i = lane / 8;  // lane gives the address of a row of matrix i
  if constexpr (Tile::k_major) {
    ptx::ldmatrix_x4(r, tile + Tile::at(mn + lower(i) * 8 + lane % 8, k / V + deeper(i)));
  } else if constexpr (sizeof(T) == 2) {
    ptx::ldmatrix_x4_trans(r, tile + Tile::at(k + deeper(i) * 8 + lane % 8, mn / V + lower(i)));
  } else {  // ldmatrix transposes 16-bit numbers only: these one by one
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = k + deeper(j) * 4 + lane % 4, column = mn + lower(j) * 8 + lane / 4;
      r[j] = __float_as_uint(tile[Tile::at(row, column / V) + column % V]);
    }
  }
  round_to_tf32<T>(r);
}

/// A warp's reads of `count` fragments, one below the other from `mn` on, a multiple of 16. Where a
/// lane reads is found out once; each of the reads adds a number that the compiler knows.
template <Side side, class Tile, int count>
struct Fragments {
  using T = typename Tile::T;
  static constexpr int V = kVec16<T>, kRowBytes = Tile::kVecs * 16;
  // Fragments lie below each other in whole rows, or beside each other; ldmatrix cannot transpose f32.
  enum class Reads : std::uint8_t { rows, columns, elements };
  static constexpr Reads kReads = Tile::k_major    ? Reads::rows
                                  : sizeof(T) == 2 ? Reads::columns
                                                   : Reads::elements;
  int at[kReads == Reads::columns ? count : 1];  // in bytes; of elements, mn

  HAZE_DEVICE explicit Fragments(int mn) : at{mn} {
    const int lane = lane_id(), i = lane / 8;
    const int lower = side == Side::left ? i % 2 : i / 2,
              deeper = side == Side::left ? i / 2 : i % 2;
    if constexpr (kReads == Reads::rows)
      at[0] = int(sizeof(T)) * Tile::at(mn + lower * 8 + lane % 8, deeper);
    if constexpr (kReads == Reads::columns) {
#pragma unroll
      for (int f = 0; f < count; ++f)
        at[f] = int(sizeof(T)) * Tile::at(deeper * 8 + lane % 8, mn / V + 2 * f + lower);
    }
  }
  /// As load_fragment at column k of the tile, a multiple of kDepth.
  HAZE_DEVICE void load(std::uint32_t (&r)[count][4], const T* tile, int k) const {
    const char* const from = reinterpret_cast<const char*>(tile);
    // Vector v of a row is at v ^ order, and k's vector is even: (k + v) ^ order = k ^ (v ^ order).
    const int row = at[0] ^ k * int(sizeof(T));
#pragma unroll
    for (int f = 0; f < count; ++f) {
      if constexpr (kReads == Reads::elements)
        load_fragment<side, Tile>(r[f], tile, at[0] + 16 * f, k);
      if constexpr (kReads == Reads::columns)
        ptx::ldmatrix_x4_trans(r[f], from + at[f] + k * kRowBytes);
      if constexpr (kReads == Reads::rows) {
        ptx::ldmatrix_x4(r[f], from + row + f * 16 * kRowBytes);
        round_to_tf32<T>(r[f]);
      }
    }
  }
};

/// A warp's f32 sums: kM times 16 rows by kN times 8 columns. In each 16x8 tile a lane has two
/// neighbouring columns of two rows, eight apart.
template <int kM, int kN>
struct Accumulators {
  float v[kM][kN][4];

  /// The lane's row of the i-th eight rows, and its first column of any eight columns.
  HAZE_DEVICE static int row_in(int i) { return lane_id() / 4 + 8 * i; }
  HAZE_DEVICE static int column_in() { return 2 * (lane_id() % 4); }
};

/// c0, c1 += A B for a left fragment (16 rows) and a right one (16 columns): c0 takes the first
/// eight columns, c1 the others.
template <class T>
HAZE_DEVICE void multiply(float (&c0)[4], float (&c1)[4], const std::uint32_t (&a)[4],
                          const std::uint32_t (&b)[4]) {
  if constexpr (sizeof(T) == 2) {
    ptx::mma_m16n8k16_bf16(c0, a, b[0], b[1]);
    ptx::mma_m16n8k16_bf16(c1, a, b[2], b[3]);
  } else {
    ptx::mma_m16n8k8_tf32(c0, a, b[0], b[1]);
    ptx::mma_m16n8k8_tf32(c1, a, b[2], b[3]);
  }
}

}  // namespace haze::kernels::mma
