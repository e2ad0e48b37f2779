// SPDX-License-Identifier: MIT
// grid.h — many images side by side.
#pragma once
#include <span>

#include "apps/image/image.h"

namespace haze::apps {

/// What the values of float images mean.
enum class Range : std::uint8_t { minus_one_to_one, zero_to_one };

/// To bytes: values beyond the range are clipped, the others rounded to the nearest of 256 steps;
/// NaN comes out as 0.
std::vector<std::uint8_t> to_bytes(std::span<const float> values, Range range);

/// The values that bytes stand for; to_bytes gives the same bytes back.
std::vector<float> from_bytes(std::span<const std::uint8_t> bytes, Range range);

/// Pixels of make_grid's picture, which may be more than an image can have.
struct GridSize {
  std::int64_t height, width;
};
GridSize grid_size(int n, int height, int width, int columns = 0);

/// Puts `images` [n, height, width, channels] into rows of `columns` (0: the smallest whole number
/// whose square is at least n), with black gutters of two pixels between them and none around.
Image make_grid(std::span<const std::uint8_t> images, int n, int height, int width, int channels,
                int columns = 0);

}  // namespace haze::apps
