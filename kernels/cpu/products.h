// SPDX-License-Identifier: MIT
// products.h — matrix products of any size from tile_product.h's tile. Included by kernels' .cpp
// files only.
//
// Operands of f32 or bf16 are packed into panels of f32, sums are f32, and each element of the
// result is one chain of fused multiply-adds in rising k: the same bits whatever the other rows are,
// for any number of threads and any cut into blocks. A library's product promises none of the three.
//
// Whoever calls stores the sums: store(row, column, count, const float* sums) gets `count`
// neighbouring ones of a row, each element once, from any thread.
#pragma once
#include <cstring>
#include <omp.h>

#include "kernels/base/dtype.h"
#include "kernels/cpu/carver.h"
#include "kernels/cpu/tile_product.h"

namespace haze::kernels::products {

using tiles::Broadcast;
using tiles::kLanes;
using tiles::kTileRows;
using tiles::Rows;
constexpr int kColumns = 2 * kLanes;         // of a panel of B
constexpr int kBlockRows = 8 * kTileRows;    // of A that meet a panel of B while it is in cache
constexpr int kDepth = 256;                  // of the panels of sums that are cut along k
constexpr int kTile = kTileRows * kColumns;  // floats

inline int panels(int n, int width) { return (n + width - 1) / width; }

/// How B [k,n] lies: its rows one after the other (b[k·n + j]), or its columns (b[j·k + k']).
enum class Lies : std::uint8_t { rows, columns };

/// to[i][j] = from[i·stride + j] for j < width, of kW numbers per row.
template <int kW, class T>
void pack_part(int rows, int width, const T* from, std::ptrdiff_t stride, float* to) {
  if (width == kW)
    for (int i = 0; i < rows; ++i, from += stride, to += kW)
      for (int j = 0; j < kW; ++j) to[j] = float(from[j]);
  else
    for (int i = 0; i < rows; ++i, from += stride, to += kW)
      for (int j = 0; j < width; ++j) to[j] = float(from[j]);
}
/// The same, and zero for the rest of kW.
template <int kW, class T>
void pack_rows(int rows, int width, const T* from, std::ptrdiff_t stride, float* to) {
  pack_part<kW>(rows, width, from, stride, to);
  for (int i = 0; i < rows && width < kW; ++i) std::fill_n(to + i * kW + width, kW - width, 0.f);
}

using Four [[gnu::vector_size(16)]] = float;
inline Four load_four(const float* x) {
  Four v;
  std::memcpy(&v, x, sizeof v);
  return v;
}
inline Four load_four(const bf16* x) {
  std::uint16_t bits [[gnu::vector_size(8)]];
  std::memcpy(&bits, x, sizeof bits);
  using Words [[gnu::vector_size(16)]] = std::uint32_t;
  return std::bit_cast<Four>(__builtin_convertvector(bits, Words) << 16);
}

/// to[k][j] = from[j·stride + k] for j < width, zero for the rest of kColumns.
template <class T>
void pack_columns(int depth, int width, const T* from, std::ptrdiff_t stride, float* to) {
  int k = 0;
  if (width == kColumns)
    for (; k + 4 <= depth; k += 4)
      for (int j = 0; j < kColumns; j += 4) {
        const T* const at = from + j * stride + k;
        const Four a = load_four(at), b = load_four(at + stride);
        const Four c = load_four(at + 2 * stride), d = load_four(at + 3 * stride);
        const Four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
        const Four cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        const Four ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        const Four cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        const Four out[4] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5),
                             __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
                             __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5),
                             __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7)};
        for (int i = 0; i < 4; ++i)
          std::memcpy(to + std::ptrdiff_t(k + i) * kColumns + j, &out[i], sizeof(Four));
      }
  for (; k < depth; ++k)
    for (int j = 0; j < kColumns; ++j)
      to[std::ptrdiff_t(k) * kColumns + j] = j < width ? float(from[j * stride + k]) : 0.f;
}

/// C [m,n] = A [m,k] B [k,n], where A's rows lie one after the other: for any m and a B of weights,
/// which is packed whole.
struct ByRows : Carver {
  int m, n, k;
  bool converts;  // A, which the tile reads where it lies if it is f32
  float *b, *a;   // [panels, k, kColumns], [threads, kBlockRows, k]
  ByRows(void* base, int rows, int columns, int depth, DType type)
      : Carver(base),
        m(rows),
        n(columns),
        k(depth),
        converts(type != DType::f32),
        b(take_floats(std::size_t(panels(n, kColumns)) * kColumns * std::size_t(k))),
        a(take_floats(converts ? std::size_t(omp_get_max_threads()) * own() : 0)) {}
  std::size_t own() const { return std::size_t(kBlockRows) * std::size_t(k); }

  template <class T, class Store>
  void run(const T* a_data, const T* b_data, Lies lies, Store store) const {
    const int across = panels(n, kColumns);
    // One block of rows reads B once: whole panels of f32 may then stay where they lie.
    const bool in_place = std::is_same_v<T, float> && lies == Lies::rows && m <= kBlockRows;
    const int first_packed = in_place ? n / kColumns : 0;
    const std::int64_t tasks = std::int64_t{across} * panels(m, kBlockRows);
#pragma omp parallel num_threads(omp_get_max_threads())
    {
#pragma omp for schedule(static)
      for (int p = first_packed; p < across; ++p) pack(b_data, lies, p);
      float* const converted = a + (converts ? std::size_t(omp_get_thread_num()) * own() : 0);
      std::int64_t loaded = -1;
#pragma omp for schedule(static)
      for (std::int64_t task = 0; task < tasks; ++task) {
        const std::int64_t block = task / across;
        const int p = int(task % across), first = int(block) * kBlockRows;
        const int rows = std::min(kBlockRows, m - first);
        Broadcast left{converted, k, 1};
        const T* const from = a_data + std::ptrdiff_t(first) * k;
        if constexpr (std::is_same_v<T, float>)
          left.data = from;
        else if (loaded != block)
          convert(std::ptrdiff_t(rows) * k, from, converted);
        loaded = block;
        const int columns = std::min(kColumns, n - p * kColumns);
        alignas(64) float sums[kBlockRows * kColumns];
        Rows<const float> right{panel(p), kColumns};
        if constexpr (std::is_same_v<T, float>)
          if (p < first_packed) right = {b_data + p * kColumns, n};
        multiply(rows, columns, left, right, sums);
        for (int i = 0; i < rows; ++i) store(first + i, p * kColumns, columns, sums + i * kColumns);
      }
    }
  }

 private:
  float* panel(int p) const { return b + std::ptrdiff_t(p) * kColumns * k; }
  template <class T>
  void pack(const T* b_data, Lies lies, int p) const {
    const int width = std::min(kColumns, n - p * kColumns);
    if (lies == Lies::rows)
      pack_rows<kColumns>(k, width, b_data + p * kColumns, n, panel(p));
    else
      pack_columns(k, width, b_data + std::ptrdiff_t(p) * kColumns * k, k, panel(p));
  }
  template <class T>
  static void convert(std::ptrdiff_t count, const T* from, float* to) {
#pragma omp simd
    for (std::ptrdiff_t i = 0; i < count; ++i) to[i] = float(from[i]);
  }
  void multiply(int rows, int columns, Broadcast left, Rows<const float> right, float* sums) const {
    if (columns > kLanes)
      tiles::rows_of_tiles<kTileRows, 2>(rows, k, left, right, {sums, kColumns}, false);
    else
      tiles::rows_of_tiles<kTileRows, 1>(rows, k, left, right, {sums, kColumns}, false);
  }
};

/// A store for products: place(row)[column] = the sum, or += with `adds`, rounded to its type once.
template <class Place>
auto storing(Place place, bool adds) {
  return [=](int row, int column, int count, const float* sums) {
    auto* const at = place(row) + column;
    if (adds) {
#pragma omp simd
      for (int j = 0; j < count; ++j) at[j] = float(at[j]) + sums[j];
    } else {
#pragma omp simd
      for (int j = 0; j < count; ++j) at[j] = sums[j];
    }
  };
}

/// How OverRows packs a matrix of rows of `columns` numbers.
template <class T>
auto packing(const T* matrix, int columns) {
  return [=]<int kW>(int first, int depth, int column, float* to) {
    pack_rows<kW>(depth, std::min(kW, columns - column),
                  matrix + std::ptrdiff_t(first) * columns + column, columns, to);
  };
}

/// C [m,n] = Aᵀ B of A [k,m] and B [k,n], for a long k and a C of weights: k is cut into parts of
/// kDepth, and each element's chain goes on from part to part.
///
/// left.operator()<kW>(first, depth, column, to) packs kW columns of A's rows from `first` on, as
/// to[depth][kW], zero beyond the matrix; right does so of B.
struct OverRows : Carver {
  int m, n, k, down, across;
  float *a, *b,
      *sums;  // [down, kDepth, kTileRows], [across, kDepth, kColumns], [across, down, kTile]
  OverRows(void* base, int rows, int columns, int depth)
      : Carver(base),
        m(rows),
        n(columns),
        k(depth),
        down(panels(m, kTileRows)),
        across(panels(n, kColumns)),
        a(take_floats(std::size_t(down) * kDepth * kTileRows)),
        b(take_floats(std::size_t(across) * kDepth * kColumns)),
        sums(take_floats(k > kDepth ? std::size_t(down) * std::size_t(across) * kTile : 0)) {}

  template <class Left, class Right, class Store>
  void run(Left left, Right right, Store store) const {
    const std::int64_t tasks = std::int64_t{down} * across;
#pragma omp parallel num_threads(omp_get_max_threads())
    for (int first = 0; first < k; first += kDepth) {
      const int depth = std::min(kDepth, k - first);
      const bool last = first + depth == k;
#pragma omp for schedule(static)
      for (int p = 0; p < down + across; ++p)
        if (const int q = p - down; q < 0)
          left.template operator()<kTileRows>(first, depth, p * kTileRows, a_panel(p));
        else
          right.template operator()<kColumns>(first, depth, q * kColumns, b_panel(q));
#pragma omp for schedule(static)
      for (std::int64_t task = 0; task < tasks; ++task) {
        const int q = int(task / down), p = int(task % down);
        alignas(64) float whole[kTile];  // where the chain begins and ends here
        float* const sum = k > kDepth ? sums + task * kTile : whole;
        multiply(depth, n - q * kColumns, a_panel(p), b_panel(q), sum, first > 0);
        const int columns = std::min(kColumns, n - q * kColumns);
        for (int i = 0; last && i < std::min(kTileRows, m - p * kTileRows); ++i)
          store(p * kTileRows + i, q * kColumns, columns, sum + i * kColumns);
      }
    }
  }

 private:
  float* a_panel(int p) const { return a + std::ptrdiff_t(p) * kDepth * kTileRows; }
  float* b_panel(int p) const { return b + std::ptrdiff_t(p) * kDepth * kColumns; }
  static void multiply(int depth, int columns, const float* left, const float* right, float* sum,
                       bool add) {
    const Broadcast rows{left, 1, kTileRows};
    if (columns > kLanes)
      tiles::tile<kTileRows, 2>(depth, rows, {right, kColumns}, {sum, kColumns}, add);
    else
      tiles::tile<kTileRows, 1>(depth, rows, {right, kColumns}, {sum, kColumns}, add);
  }
};

}  // namespace haze::kernels::products
