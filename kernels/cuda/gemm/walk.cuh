// SPDX-License-Identifier: MIT
// walk.cuh — how a block's threads go along the summed index of a product, so that the address of
// the next 16 bytes costs an addition, not a division.
//
// Images times weights are summed over channels and taps, a tile of kK channels of one tap at a
// time, all taps before the next channels:
//
//     channels  0..kK              kK..2kK             ...
//     taps      0 1 2 ... 8        0 1 2 ... 8
//
// The nine taps of 3x3 read almost the same pixels, one after the other: what the first fetched,
// the others find in L1. A thread copies the same rows of every tile. What it knows of a row, it
// finds out once: the pixel's number in the image, and one bit for each tap that says whether the
// tap falls inside. From tile to tile one offset moves, the same for all threads.
//
// The gradient of the weights is summed over pixels: there the tap stands still and the rows move
// on, by a step that is prepared by the host; a carry takes them to the next line and image.
#pragma once
#include "kernels/cuda/gemm/im2col.cuh"
#include "kernels/cuda/mma.cuh"

namespace haze::kernels::gemm {
using mma::OperandTile;

/// Which vector of 16 bytes of which rows of a tile is the thread's.
template <class Tile, int threads>
struct ThreadsVectors {
  using T = typename Tile::T;
  static constexpr int V = mma::kVec16<T>, kStep = threads / Tile::kVecs;
  static constexpr int kCount = Tile::kRows / kStep;
  static_assert(threads % Tile::kVecs == 0 && Tile::kRows % kStep == 0);
  static_assert(kStep % 8 == 0);  // the tile's swizzle is the same in all of the thread's rows
  int row, vec, at;               // at: the first of them in the tile, in bytes
  HAZE_DEVICE explicit ThreadsVectors(int thread)
      : row(thread / Tile::kVecs),
        vec(thread % Tile::kVecs),
        at(int(sizeof(T)) * Tile::at(row, vec)) {}
  HAZE_DEVICE int row_of(int j) const { return row + j * kStep; }
  HAZE_DEVICE void put(T* tile, int j, const Vec<T, V>& v) const {
    store(reinterpret_cast<T*>(reinterpret_cast<char*>(tile) + at + j * kStep * Tile::kVecs * 16),
          v);
  }
  /// Starts the copy of the j-th, or of zeros.
  HAZE_DEVICE void copy(T* tile, int j, const char* from, bool inside) const {
    ptx::cp_async16(reinterpret_cast<char*>(tile) + at + j * kStep * Tile::kVecs * 16, from,
                    inside ? 16 : 0);
  }
};

/// Rows of the tile are pixels, and it has kK channels of one tap.
template <class Tile, int threads>
struct ImageRows : ThreadsVectors<Tile, threads> {
  using Base = ThreadsVectors<Tile, threads>;
  using Base::kCount;
  using typename Base::T;
  int pixel[kCount];             // that tap 0 reads, of all images
  std::uint32_t inside[kCount];  // bit t: tap t is inside of the image

  HAZE_DEVICE ImageRows(const Im2colView& v, int m0, int thread) : Base(thread) {
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      const Pixel p = pixel_of(v, m0 + this->row_of(j));
      pixel[j] = p.index, inside[j] = 0;
      for (int t = 0, bit = 0; t < v.tap_rows; ++t)
        for (int u = 0; u < v.tap_columns; ++u, ++bit) {
          const int row = p.row + t * v.rows.tap, column = p.column + u * v.columns.tap;
          inside[j] |= std::uint32_t(unsigned(row) < unsigned(v.rows.extent) &&
                                     unsigned(column) < unsigned(v.columns.extent))
                       << bit;
        }
    }
  }
  /// Pixels are `bytes` apart; `from` is the thread's channel of the tap of pixel 0, `tap` that
  /// tap's bit, or 0 behind the last channel.
  HAZE_DEVICE void fetch(T* tile, const char* from, int tap_pixels, int bytes,
                         std::uint32_t tap) const {
#pragma unroll
    for (int j = 0; j < kCount; ++j)
      this->copy(tile, j, from + std::int64_t(pixel[j] + tap_pixels) * bytes, inside[j] & tap);
  }
};

/// The sum of images times weights, tile by tile. Weights are [outputs, kernel, channels] with
/// k_major, or [channels, kernel, outputs].
template <class Math, bool weights_k_major>
struct ChannelsAndTaps {
  using T = typename Math::T;
  static constexpr int kK = Math::kK, V = mma::kVec16<T>, kSize = int(sizeof(T));
  using TileA = OperandTile<T, Math::kM, kK, true>;
  using TileB = OperandTile<T, Math::kN, kK, weights_k_major>;

  const Im2colView& view;
  const T* const second;           // the image's second tensor
  const int tap_bytes, row_bytes;  // of the weights: from tap to tap, from row to row of the tile
  ImageRows<TileA, Math::kThreads> image;
  ThreadsVectors<TileB, Math::kThreads> weights;
  std::uint32_t columns_inside = 0;  // bit j: of the weights' vectors, what follows from the output
  // Of the tile that is fetched next.
  const char *x, *w;  // the thread's channels in pixel 0, and the thread's first vector of tap 0
  int tap = 0, channels, to_second;  // channels from the tile's first on; to_second: the thread's
  int pixel_bytes;

  HAZE_DEVICE ChannelsAndTaps(const Im2colView& v, const T* first_tensor, const T* second_tensor,
                              const T* all_weights, int taps_of_kernel, int outputs, int m0, int n0,
                              int thread)
      : view(v),
        second(second_tensor),
        tap_bytes((weights_k_major ? v.channels : outputs) * kSize),
        row_bytes(taps_of_kernel * tap_bytes),
        image(v, m0, thread),
        weights(thread),
        x(reinterpret_cast<const char*>(first_tensor) + image.vec * 16),
        w(reinterpret_cast<const char*>(all_weights) + weights.vec * 16),
        channels(v.channels),
        to_second(v.first - image.vec * V),
        pixel_bytes(v.first_bytes) {
    if (to_second <= 0) begin_second();
    w += std::int64_t(weights_k_major ? n0 + weights.row : weights.row) * row_bytes +
         (weights_k_major ? 0 : n0 * kSize);
#pragma unroll
    for (int j = 0; j < weights.kCount; ++j) {
      const int n = n0 + (weights_k_major ? weights.row_of(j) : weights.vec * V);
      columns_inside |= std::uint32_t(n < outputs) << j;
    }
  }
  HAZE_DEVICE void fetch(T* a, T* b) {
    const bool in_k = image.vec * V < channels;
    const auto step = view.steps[tap];
    image.fetch(a, x, step.pixels, pixel_bytes, in_k ? 1u << tap : 0);
    const char* const from = w + std::int64_t(step.in_kernel) * tap_bytes;
#pragma unroll
    for (int j = 0; j < weights.kCount; ++j)
      weights.copy(b, j, from + std::int64_t(row_bytes) * (j * weights.kStep),
                   (weights_k_major ? weights.vec * V : weights.row_of(j)) < channels &&
                       columns_inside & 1u << j);
    if (++tap == view.tap_count()) next_channels();
  }

 private:
  HAZE_DEVICE void next_channels() {
    tap = 0;
    channels -= kK;
    x += kK * kSize;
    w += weights_k_major ? kK * kSize : std::int64_t(row_bytes) * kK;
    const bool was_first = to_second > 0;
    to_second -= kK;
    if (was_first && to_second <= 0) begin_second();
  }
  /// The thread's channels are the second tensor's, if there is one: from channel -to_second on.
  HAZE_DEVICE void begin_second() {
    x = reinterpret_cast<const char*>(second - to_second);
    pixel_bytes = view.second_bytes;
  }
};

/// The sum over pixels, for the gradient of the weights: small [pixels, rows] times, at each tap, the
/// pixels of the large image that it reads there. Tiles `first` and on.
template <class Math>
struct Pixels {
  using T = typename Math::T;
  static constexpr int kK = Math::kK, V = mma::kVec16<T>, kSize = int(sizeof(T));
  using TileA = OperandTile<T, Math::kM, kK, false>;
  using TileB = OperandTile<T, Math::kN, kK, false>;

  const Im2colView& view;
  ThreadsVectors<TileA, Math::kThreads> small;
  ThreadsVectors<TileB, Math::kThreads> large;
  bool row_inside;
  int row_bytes, pixel_bytes, last_row, last_column, left;  // left: pixels from the tile's on
  const char *from, *image;  // the thread's vector of its first row; of the large image's pixel 0
  int row[decltype(large)::kCount], column[decltype(large)::kCount], pixel[decltype(large)::kCount];

  HAZE_DEVICE Pixels(const Im2colView& v, const T* small_image, const T* large_image,
                     const T* second, int rows, int m0, int n0, int first, int thread)
      : view(v),
        small(thread),
        large(thread),
        row_inside(m0 + small.vec * V < rows),
        row_bytes(rows * kSize),
        left(v.pixels() - first * kK) {
    from = reinterpret_cast<const char*>(small_image + m0 + small.vec * V) +
           (std::int64_t(first) * kK + small.row) * row_bytes;
    const Tap tap = tap_of(v, n0 + large.vec * V);
    const bool is_second = tap.channel >= v.first;
    pixel_bytes = is_second ? v.second_bytes : v.first_bytes;
    image =
        reinterpret_cast<const char*>((is_second ? second - v.first : large_image) + tap.channel);
    // Rows and columns count from where the tap is, beyond the last of the grid's comes the next.
    last_row = v.grid_rows * v.rows.step + v.rows.first + tap.row;
    last_column = v.grid_columns * v.columns.step + v.columns.first + tap.column;
#pragma unroll
    for (int j = 0; j < large.kCount; ++j) {
      const Pixel p = pixel_of(v, first * kK + large.row_of(j));
      row[j] = p.row + tap.row, column[j] = p.column + tap.column;
      pixel[j] = p.index + tap.pixels;
    }
  }
  HAZE_DEVICE void fetch(T* a, T* b) {
#pragma unroll
    for (int j = 0; j < small.kCount; ++j)
      small.copy(a, j, from + std::int64_t(row_bytes) * (j * small.kStep),
                 row_inside && small.row_of(j) < left);
#pragma unroll
    for (int j = 0; j < large.kCount; ++j) {
      const bool inside = unsigned(row[j]) < unsigned(view.rows.extent) &&
                          unsigned(column[j]) < unsigned(view.columns.extent);
      large.copy(b, j, image + std::int64_t(pixel[j]) * pixel_bytes,
                 inside && large.row_of(j) < left);
      advance(j);
    }
    from += std::int64_t(row_bytes) * kK;
    left -= kK;
  }

 private:
  /// kK pixels of the grid further.
  HAZE_DEVICE void advance(int j) {
    const Im2colView::Carry& by = view.carry;
    row[j] += by.rows, column[j] += by.columns, pixel[j] += by.pixels;
    if (column[j] >= last_column)
      column[j] -= by.line, row[j] += view.rows.step, pixel[j] += by.line_pixels;
    if (row[j] >= last_row) row[j] -= by.image, pixel[j] += by.image_pixels;
  }
};

}  // namespace haze::kernels::gemm
