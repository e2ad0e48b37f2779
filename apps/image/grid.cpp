// SPDX-License-Identifier: MIT
#include "apps/image/grid.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "kernels/base/check.h"

namespace haze::apps {

std::vector<std::uint8_t> to_bytes(std::span<const float> values, Range range) {
  const float scale = range == Range::zero_to_one ? 255.f : 127.5f;
  const float shift = range == Range::zero_to_one ? 0.5f : 128.f;  // 0.5 of it rounds
  std::vector<std::uint8_t> bytes(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float v = values[i] * scale + shift;
    bytes[i] = std::uint8_t(v > 0 ? std::min(v, 255.f) : 0.f);  // false for NaN
  }
  return bytes;
}

std::vector<float> from_bytes(std::span<const std::uint8_t> bytes, Range range) {
  const bool zero_to_one = range == Range::zero_to_one;
  std::vector<float> values(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i)
    values[i] = zero_to_one ? float(bytes[i]) / 255 : (2 * float(bytes[i]) - 255) / 255;
  return values;
}

namespace {

constexpr int kGutter = 2;

int columns_of(int n, int columns) {
  if (columns == 0)
    while (std::int64_t{columns} * columns < n) ++columns;
  return std::min(columns, n);
}

}  // namespace

GridSize grid_size(int n, int height, int width, int columns) {
  const std::int64_t across = columns_of(n, columns), down = (n + across - 1) / across;
  return {down * (height + kGutter) - kGutter, across * (width + kGutter) - kGutter};
}

Image make_grid(std::span<const std::uint8_t> images, int n, int height, int width, int channels,
                int columns) {
  HAZE_CHECK(
      n >= 1 && height >= 1 && width >= 1 && columns >= 0 && (channels == 1 || channels == 3),
      "n=", n, " height=", height, " width=", width, " channels=", channels, " columns=", columns);
  const std::size_t row = std::size_t(width) * channels;
  HAZE_CHECK(images.size() == row * height * n, images.size(), " bytes for ", n, " images of ",
             row * height);
  columns = columns_of(n, columns);
  const GridSize size = grid_size(n, height, width, columns);
  constexpr std::int64_t kLongest = std::numeric_limits<int>::max();
  HAZE_CHECK(size.height <= kLongest && size.width <= kLongest, size.width, "x", size.height);
  Image grid{int(size.height), int(size.width), channels, {}};
  grid.pixels.resize(std::size_t(grid.height) * grid.width * channels);
  for (int i = 0; i < n; ++i) {
    const int top = i / columns * (height + kGutter), left = i % columns * (width + kGutter);
    for (int y = 0; y < height; ++y)
      std::copy_n(images.data() + (std::size_t(i) * height + y) * row, row,
                  grid.pixels.data() + (std::size_t(top + y) * grid.width + left) * channels);
  }
  return grid;
}

}  // namespace haze::apps
