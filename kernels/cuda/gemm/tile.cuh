// tile.cuh — a tile of a matrix in shared memory, and how pieces of it get there.
//
// A tile is MN rows of the left matrix (or columns of the right one) by K of the summed index, cut
// into pieces of 16 bytes. Whichever of the two is contiguous in global memory is contiguous in
// the tile:
//
//   k_major    rows are mn, a row holds K numbers          (x in forward: channels are summed)
//   otherwise  rows are k, a row holds MN numbers          (gradient of weights: pixels are summed)
//
// Shared memory has 32 banks of 4 bytes: eight pieces that are read together must differ in their
// place modulo 128 bytes. ldmatrix reads one piece of eight consecutive rows, so each row's pieces
// are stored in an order of its own, XORed with the row's number:
//
//   rows of 64 bytes      row 0   0 1 2 3     rows of 128 or more   row 0   0 1 2 3 4 5 6 7
//   (two in 128 bytes)    row 1   0 1 2 3                           row 1   1 0 3 2 5 4 7 6
//                         row 2   1 0 3 2                           row 2   2 3 0 1 6 7 4 5
//                         row 3   1 0 3 2                           ...
#pragma once
#include "kernels/cuda/ptx.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels::gemm {

template <class Element, int MN, int K, bool is_k_major>
struct Tile {
  using T = Element;
  static constexpr bool k_major = is_k_major;
  static constexpr int kPerPiece = 16 / int(sizeof(T));
  static constexpr int kRows = k_major ? MN : K, kPieces = (k_major ? K : MN) / kPerPiece;
  static constexpr int kSize = MN * K;
  static_assert(kPieces == 4 || kPieces % 8 == 0);

  /// Where piece p of a row starts, in elements.
  HAZE_DEVICE static int place(int row, int p) {
    // Without ldmatrix (f32, k in rows) a warp reads two neighbouring pieces of four rows.
    const int order = kPieces == 4                 ? row >> 1 & 3
                      : sizeof(T) == 4 && !k_major ? (row & 3) << 1
                                                   : row & 7;
    return (row * kPieces + (p ^ order)) * kPerPiece;
  }
};

/// Brings tiles of one matrix into shared memory. A Source is that matrix:
///
///   fixed(mn)        what of an address follows from the row or column, prepared once
///   moving(k)        what follows from the summed index, prepared for each tile
///   at(fixed, moving)  the element's address, or null where the matrix is 0
///
/// With `vector`, 16 bytes from an address are the next elements of the matrix, and the piece is
/// copied asynchronously. Otherwise (channels that do not fill 16 bytes) it is put together from
/// single elements.
template <class Tile, int threads, bool vector, class Source>
struct Stager {
  using T = typename Tile::T;
  static constexpr int V = Tile::kPerPiece, kStep = threads / Tile::kPieces;
  static constexpr int kCount =
      Tile::kRows / kStep;  // pieces per thread, in one column of the tile
  static_assert(threads % Tile::kPieces == 0 && Tile::kRows % kStep == 0);

  const Source& source;
  const int mn0, row, piece;
  typename Source::Fixed fixed[Tile::k_major ? kCount : 1];

  HAZE_DEVICE Stager(const Source& from, int first_mn, int thread)
      : source(from), mn0(first_mn), row(thread / Tile::kPieces), piece(thread % Tile::kPieces) {
    if constexpr (Tile::k_major) {
#pragma unroll
      for (int j = 0; j < kCount; ++j) fixed[j] = source.fixed(mn0 + row + j * kStep);
    } else {
      fixed[0] = source.fixed(mn0 + piece * V);
    }
  }

  /// Starts the copy of columns [k0, k0 + K) of the summed index.
  HAZE_DEVICE void fetch(T* tile, int k0) const {
    if constexpr (vector && Tile::k_major) {
      const auto moving = source.moving(k0 + piece * V);
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
          const T* p = Tile::k_major ? source.at(fixed[j], source.moving(k0 + piece * V + e))
                                     : source.at(source.fixed(mn0 + piece * V + e),
                                                 source.moving(k0 + row + j * kStep));
          v[e] = p ? *p : T(0.f);
        }
        store(tile + Tile::place(row + j * kStep, piece), v);
      }
    }
  }

 private:
  HAZE_DEVICE void copy(T* tile, int j, const T* from) const {
    ptx::cp_async16(tile + Tile::place(row + j * kStep, piece), from ? from : source.any(),
                    from ? 16 : 0);
  }
};

}  // namespace haze::kernels::gemm
