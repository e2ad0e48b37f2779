// SPDX-License-Identifier: MIT
// im2col.cuh — a convolution as a matrix product, without writing the matrix: which number of the
// image stands in row `pixel` and column `tap` of the matrix that im2col would make.
#pragma once
#include "kernels/base/divide.h"
#include "kernels/cuda/gemm/gemm.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels::gemm {

/// One of an image's two axes: tap t of the kernel at position p of the grid of pixels reads
/// p·step + first + t·tap of the image, which has `extent` positions.
struct Axis {
  int extent = 0, step = 1, first = 0, tap = 1;
};

/// Of these a thread keeps one bit each.
constexpr int kMostTaps = 32;

/// The matrix [pixels, taps] over an image: pixels are its rows, taps its columns (a tap here is the
/// kernel's row, its column and a channel).
struct Im2colView {
  Axis rows, columns;
  int images = 0, grid_rows = 0, grid_columns = 0;  // of pixels
  int tap_rows = 0, tap_columns = 0, channels = 0;  // of taps
  int first = 0;  // of the channels, those of the image's first tensor: all, where it has no second
  int tap_row0 = 0, tap_column0 = 0, tap_step = 1;  // tap t is the kernel's tap0 + t·tap_step
  int kernel_columns = 1;
  /// How taps are numbered: tap after tap, or (not 0) in blocks of so many channels, all taps of the
  /// first block, then of the next; channels behind the last are outside.
  int block = 0;
  Divide by_grid, by_grid_columns, by_tap_columns, by_channels, by_block;
  /// Of each tap, where there are at most kMostTaps: how many pixels of the image it is from tap 0,
  /// and its number in the kernel.
  struct alignas(8) Step {
    int pixels, in_kernel;
  } steps[kMostTaps];

  /// From a pixel of the grid to the one `tile` further: over whole images, lines and columns, in
  /// rows, columns and pixels of the image; and what changes where that passes the end of a line, or
  /// the last line.
  struct Carry {
    int rows, columns, pixels, line, line_pixels, image, image_pixels;
  } carry;
  void prepare_carry(int tile) {
    const int lines = tile / grid_columns, images = lines / grid_rows;
    carry.rows = lines % grid_rows * rows.step, carry.columns = tile % grid_columns * columns.step;
    carry.pixels = (images * rows.extent + carry.rows) * columns.extent + carry.columns;
    carry.line = grid_columns * columns.step, carry.image = grid_rows * rows.step;
    carry.line_pixels = rows.step * columns.extent - carry.line;
    carry.image_pixels = (rows.extent - carry.image) * columns.extent;
  }

  int all_taps = 0;
  int first_bytes = 0, second_bytes = 0;  // of a pixel in the first and in the second tensor

  /// After all others are set, for elements of so many bytes.
  void prepare(std::size_t element) {
    all_taps = tap_count() * (block ? (channels + block - 1) / block * block : channels);
    first_bytes = first * int(element), second_bytes = (channels - first) * int(element);
    for (int t = 0; tap_count() <= kMostTaps && t < tap_count(); ++t) {
      const int r = t / tap_columns, s = t % tap_columns;
      steps[t] = {r * rows.tap * columns.extent + s * columns.tap,
                  (tap_row0 + r * tap_step) * kernel_columns + tap_column0 + s * tap_step};
    }
    const auto divide = [](int by) { return Divide(by > 0 ? by : 1); };  // of nothing, where 0
    by_grid = divide(grid_rows * grid_columns), by_grid_columns = divide(grid_columns);
    by_tap_columns = divide(tap_columns), by_channels = divide(block ? block : channels);
    by_block = divide(block * tap_count());
  }
  HAZE_HD int pixels() const { return images * grid_rows * grid_columns; }
  HAZE_HD int tap_count() const { return tap_rows * tap_columns; }
  HAZE_HD int taps() const { return all_taps; }
};

/// Far outside of every image; the sum of two does not overflow.
constexpr int kOutside = -(1 << 29);

/// Where tap (0, 0) of a pixel falls: row and column of the image, and the number of that pixel among
/// those of all images.
struct Pixel {
  int index, row, column;
};
HAZE_DEVICE Pixel pixel_of(const Im2colView& v, int m) {
  if (m >= v.pixels()) return {0, kOutside, kOutside};
  const int image = v.by_grid.quotient(m), rest = v.by_grid.remainder(m, image);
  const int p = v.by_grid_columns.quotient(rest), q = v.by_grid_columns.remainder(rest, p);
  const int row = p * v.rows.step + v.rows.first, column = q * v.columns.step + v.columns.first;
  return {(image * v.rows.extent + row) * v.columns.extent + column, row, column};
}

/// A tap's distance from tap (0, 0) in rows, columns and pixels, its channel, and its number in the
/// kernel: -1 behind the last.
struct Tap {
  int row, column, pixels, channel, in_kernel;
};
HAZE_DEVICE Tap tap_of(const Im2colView& v, int k) {
  const bool exists = k < v.taps();
  const int block = v.block ? v.by_block.quotient(k) : 0;
  if (v.block) k = v.by_block.remainder(k, block);
  const int tap = v.by_channels.quotient(k);
  const int channel = block * v.block + v.by_channels.remainder(k, tap);
  const int t = v.by_tap_columns.quotient(tap), u = v.by_tap_columns.remainder(tap, t);
  const int row = t * v.rows.tap, column = u * v.columns.tap;
  const int in_kernel =
      (v.tap_row0 + t * v.tap_step) * v.kernel_columns + v.tap_column0 + u * v.tap_step;
  const bool is_one = exists && channel < v.channels;
  return {is_one ? row : kOutside, column, is_one ? row * v.columns.extent + column : 0,
          is_one ? channel : 0, is_one ? in_kernel : -1};
}

/// A tap of an image in one or two tensors: the channel's address in pixel 0 of its tensor, how many
/// bytes a pixel has there, and how many pixels the tap is from tap (0, 0).
template <class T>
struct ImageTap {
  int row, column, pixels, bytes;
  const char* from;
  ImageTap() = default;
  HAZE_DEVICE ImageTap(const Im2colView& v, const T* x, const T* x2, const Tap& t)
      : row(t.row), column(t.column), pixels(t.pixels) {
    const bool second = t.channel >= v.first;
    bytes = second ? v.second_bytes : v.first_bytes;
    from = reinterpret_cast<const char*>((second ? x2 - v.first : x) + t.channel);
  }
  /// Whether a pixel has something there, and where.
  HAZE_DEVICE bool inside(const Im2colView& v, const Pixel& p) const {
    return unsigned(p.row + row) < unsigned(v.rows.extent) &&
           unsigned(p.column + column) < unsigned(v.columns.extent);
  }
  HAZE_DEVICE const char* address(const Pixel& p) const {
    const int pixel = int(unsigned(p.index) + unsigned(pixels));  // one product, not two of 64 bits
    return from + std::int64_t(pixel) * bytes;
  }
  HAZE_DEVICE const T* at(const Im2colView& v, const Pixel& p) const {
    return inside(v, p) ? reinterpret_cast<const T*>(address(p)) : nullptr;
  }
};

/// The view over small pixels and all taps of the large image under each.
inline Im2colView small_by_large(const Geometry& g, int channels, int channels2) {
  Im2colView v;
  v.rows = {g.h, g.stride, -g.pad_top, 1}, v.columns = {g.w, g.stride, -g.pad_left, 1};
  v.images = g.n, v.grid_rows = g.ho, v.grid_columns = g.wo;
  v.tap_rows = g.kh, v.tap_columns = g.kw, v.channels = channels, v.kernel_columns = g.kw;
  v.first = channels - channels2;
  return v;
}

/// An image is indexed by int, and so are pixels and taps.
inline void check(const Geometry& g, int channels, int outputs) {
  const auto fits = [](std::initializer_list<int> extents) {
    std::int64_t product = 1;
    for (const int e : extents) product = product < (std::int64_t{1} << 31) ? product * e : product;
    return product < std::int64_t{1} << 30;
  };
  const int most = channels > outputs ? channels : outputs;
  HAZE_CHECK(fits({g.h, g.w, most}) && fits({g.ho, g.wo, most}) && fits({g.n, g.h, g.w}) &&
                 fits({g.n, g.ho, g.wo}) && fits({g.kh, g.kw, most}),
             "images [", g.n, ",", g.h, ",", g.w, "] and [", g.n, ",", g.ho, ",", g.wo,
             "], kernel ", g.kh, "x", g.kw, ", channels ", channels, " and ", outputs);
}

// ---- the matrices, as sources of a Stager (stager.cuh)

/// [pixels, taps]: the left matrix of a convolution.
template <class T>
struct Im2colMatrix {
  using Fixed = Pixel;
  const Im2colView& view;
  const T *x, *x2;
  HAZE_DEVICE Pixel fixed(int m) const { return pixel_of(view, m); }
  HAZE_DEVICE ImageTap<T> moving(int k) const { return {view, x, x2, tap_of(view, k)}; }
  HAZE_DEVICE const T* at(const Pixel& p, const ImageTap<T>& t) const { return t.at(view, p); }
  HAZE_DEVICE const T* any() const { return x; }
};

/// The same, transposed: summed over pixels, for the gradient of the weights.
template <class T>
struct Im2colTransposed {
  using Fixed = ImageTap<T>;
  const Im2colView& view;
  const T *x, *x2;
  HAZE_DEVICE ImageTap<T> fixed(int n) const { return {view, x, x2, tap_of(view, n)}; }
  HAZE_DEVICE Pixel moving(int k) const { return pixel_of(view, k); }
  HAZE_DEVICE const T* at(const ImageTap<T>& t, const Pixel& p) const { return t.at(view, p); }
  HAZE_DEVICE const T* any() const { return x; }
};

/// [outputs, taps] of weights: the summed channels contiguous, w [outputs, kernel, channels], or
/// the outputs, w [channels, kernel, outputs].
template <class T, bool k_major>
struct WeightMatrix {
  using Fixed = int;
  const Im2colView& view;
  const T* w;
  int outputs, kernel;  // kernel: its taps, rows times columns
  HAZE_DEVICE int fixed(int n) const { return n < outputs ? n : -1; }
  HAZE_DEVICE Tap moving(int k) const { return tap_of(view, k); }
  HAZE_DEVICE const T* at(int n, const Tap& t) const {
    const int row = k_major ? n : t.channel, tap = k_major ? view.channels : outputs;
    const T* const place =
        w + (t.in_kernel * tap + (k_major ? t.channel : n)) + std::int64_t(row) * (kernel * tap);
    return n < 0 || t.in_kernel < 0 ? nullptr : place;
  }
  HAZE_DEVICE const T* any() const { return w; }
};

/// [columns, rows] of a matrix stored as [rows, columns]: summed over its rows.
template <class T>
struct TransposedMatrix {
  using Fixed = int;
  const T* x;
  int rows, columns;
  HAZE_DEVICE int fixed(int m) const { return m < columns ? m : -1; }
  HAZE_DEVICE int moving(int k) const { return k < rows ? k : -1; }
  HAZE_DEVICE const T* at(int m, int k) const {
    return m < 0 || k < 0 ? nullptr : x + std::size_t(k) * columns + m;
  }
  HAZE_DEVICE const T* any() const { return x; }
};

}  // namespace haze::kernels::gemm
