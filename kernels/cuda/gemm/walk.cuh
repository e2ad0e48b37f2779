// walk.cuh — a convolution as a matrix product, without writing the matrix: which number of the
// image stands in row `pixel` and column `tap` of the matrix that im2col would make.
#pragma once
#include "kernels/base/divide.h"
#include "kernels/cuda/gemm/gemm.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels::gemm {

/// One of an image's two axes: position `grid` of the walk meets tap t of the kernel at
/// grid·step + first + t·tap of the image, where it has `extent` positions.
struct Axis {
  int extent = 0, step = 1, first = 0, tap = 1;
};

/// The pixels (rows of the matrix) and taps (its columns: kernel's row, column, channel).
struct Walk {
  Axis rows, columns;
  int images = 0, grid_rows = 0, grid_columns = 0;  // of pixels
  int tap_rows = 0, tap_columns = 0, channels = 0;  // of taps
  int first = 0;  // of the channels, those of the image's first tensor: all, where it has no second
  int tap_row0 = 0, tap_column0 = 0, tap_step = 1;  // tap t is the kernel's tap0 + t·tap_step
  int kernel_columns = 1;
  Divide by_grid, by_grid_columns, by_tap_columns, by_channels;

  /// After all others are set.
  void prepare() {
    const auto divide = [](int by) { return Divide(by > 0 ? by : 1); };  // of nothing, where 0
    by_grid = divide(grid_rows * grid_columns), by_grid_columns = divide(grid_columns);
    by_tap_columns = divide(tap_columns), by_channels = divide(channels);
  }
  HAZE_HD int pixels() const { return images * grid_rows * grid_columns; }
  HAZE_HD int taps() const { return tap_rows * tap_columns * channels; }
};

/// Far outside of every image; the sum of two does not overflow.
constexpr int kOutside = -(1 << 29);

/// A pixel's image, and the place in it that tap (0, 0) falls on.
struct Pixel {
  std::size_t image;
  int row, column;
};
HAZE_DEVICE Pixel pixel_of(const Walk& w, int m) {
  if (m >= w.pixels()) return {0, kOutside, kOutside};
  const int image = w.by_grid.quotient(m), rest = w.by_grid.remainder(m, image);
  const int p = w.by_grid_columns.quotient(rest), q = w.by_grid_columns.remainder(rest, p);
  return {std::size_t(image), p * w.rows.step + w.rows.first, q * w.columns.step + w.columns.first};
}

/// A tap's distance from tap (0, 0), its channel, and its number in the kernel.
struct Tap {
  int row, column, channel, in_kernel;
};
HAZE_DEVICE Tap tap_of(const Walk& w, int k) {
  if (k >= w.taps()) return {kOutside, kOutside, 0, -1};
  const int tap = w.by_channels.quotient(k), channel = w.by_channels.remainder(k, tap);
  const int t = w.by_tap_columns.quotient(tap), u = w.by_tap_columns.remainder(tap, t);
  return {t * w.rows.tap, u * w.columns.tap, channel,
          (w.tap_row0 + t * w.tap_step) * w.kernel_columns + w.tap_column0 + u * w.tap_step};
}

/// Where pixel and tap meet, in x or its second tensor, or null outside the image.
template <class T>
HAZE_DEVICE const T* meet(const Walk& w, const T* x, const T* x2, const Pixel& p, const Tap& t) {
  const int row = p.row + t.row, column = p.column + t.column;
  if (unsigned(row) >= unsigned(w.rows.extent) || unsigned(column) >= unsigned(w.columns.extent))
    return nullptr;
  const bool in_first = t.channel < w.first;
  const int channels = in_first ? w.first : w.channels - w.first;
  const std::size_t image = std::size_t(w.rows.extent) * w.columns.extent * channels;
  return (in_first ? x : x2) + p.image * image + (row * w.columns.extent + column) * channels +
         (in_first ? t.channel : t.channel - w.first);
}

/// The walk over small pixels and all taps of the large image under each.
inline Walk small_by_large(const Geometry& g, int channels, int channels2) {
  Walk w;
  w.rows = {g.h, g.stride, -g.pad_top, 1}, w.columns = {g.w, g.stride, -g.pad_left, 1};
  w.images = g.n, w.grid_rows = g.ho, w.grid_columns = g.wo;
  w.tap_rows = g.kh, w.tap_columns = g.kw, w.channels = channels, w.kernel_columns = g.kw;
  w.first = channels - channels2;
  w.prepare();
  return w;
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

// ---- the matrices, as sources of a Stager (tile.cuh)

/// [pixels, taps]: the left matrix of a convolution.
template <class T>
struct PixelsByTaps {
  using Fixed = Pixel;
  const Walk& walk;
  const T *x, *x2;
  HAZE_DEVICE Pixel fixed(int m) const { return pixel_of(walk, m); }
  HAZE_DEVICE Tap moving(int k) const { return tap_of(walk, k); }
  HAZE_DEVICE const T* at(const Pixel& p, const Tap& t) const { return meet(walk, x, x2, p, t); }
  HAZE_DEVICE const T* any() const { return x; }
};

/// The same, transposed: summed over pixels, for the gradient of the weights.
template <class T>
struct TapsByPixels {
  using Fixed = Tap;
  const Walk& walk;
  const T *x, *x2;
  HAZE_DEVICE Tap fixed(int n) const { return tap_of(walk, n); }
  HAZE_DEVICE Pixel moving(int k) const { return pixel_of(walk, k); }
  HAZE_DEVICE const T* at(const Tap& t, const Pixel& p) const { return meet(walk, x, x2, p, t); }
  HAZE_DEVICE const T* any() const { return x; }
};

/// [outputs, taps] of weights: the summed channels contiguous, w [outputs, kernel, channels], or
/// the outputs, w [channels, kernel, outputs].
template <class T, bool k_major>
struct Weights {
  using Fixed = int;
  const Walk& walk;
  const T* w;
  int outputs, kernel;  // kernel: its taps, rows times columns
  HAZE_DEVICE int fixed(int n) const { return n < outputs ? n : -1; }
  HAZE_DEVICE Tap moving(int k) const { return tap_of(walk, k); }
  HAZE_DEVICE const T* at(int n, const Tap& t) const {
    if (n < 0 || t.in_kernel < 0) return nullptr;
    return k_major ? w + (std::size_t(n) * kernel + t.in_kernel) * walk.channels + t.channel
                   : w + (std::size_t(t.channel) * kernel + t.in_kernel) * outputs + n;
  }
  HAZE_DEVICE const T* any() const { return w; }
};

/// [columns, rows] of a matrix stored as [rows, columns]: summed over its rows.
template <class T>
struct Columns {
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
