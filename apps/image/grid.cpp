// SPDX-License-Identifier: MIT
#include "apps/image/grid.h"

#include <algorithm>
#include <cstddef>

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

Image make_grid(std::span<const std::uint8_t> images, int n, int height, int width, int channels,
                int columns) {
  constexpr int kGutter = 2;
  HAZE_CHECK(
      n >= 1 && height >= 1 && width >= 1 && columns >= 0 && (channels == 1 || channels == 3),
      "n=", n, " height=", height, " width=", width, " channels=", channels, " columns=", columns);
  const std::size_t row = std::size_t(width) * channels;
  HAZE_CHECK(images.size() == row * height * n, images.size(), " bytes for ", n, " images of ",
             row * height);
  if (columns == 0)
    while (std::int64_t{columns} * columns < n) ++columns;
  columns = std::min(columns, n);
  const int rows = (n + columns - 1) / columns;
  Image grid{
      rows * (height + kGutter) - kGutter, columns * (width + kGutter) - kGutter, channels, {}};
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
