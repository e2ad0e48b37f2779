// SPDX-License-Identifier: MIT
// image.h — one decoded image.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

namespace haze::apps {

struct Image {
  int height = 0, width = 0, channels = 0;  // channels: 1 grey, 3 RGB
  std::vector<std::uint8_t> pixels;         // [height, width, channels]
  bool sixteen_bits = false;                // stored as such; pixels are their upper eight

  /// One channel, or three that agree everywhere.
  bool is_grey() const;
};

/// Limits that every decoder holds before it allocates.
constexpr int kMostSide = 16384;
constexpr std::int64_t kMostPixels = std::int64_t{64} << 20;
constexpr std::uint64_t kMostFileBytes = std::uint64_t{64} << 20;

/// Called by a decoder with the size of the upright picture before a pixel is decoded: throws
/// InputError if that size is of no use.
using SizeCheck = std::function<void(int height, int width)>;

/// 3 from 1 by repetition, 1 from 3 by ITU-R BT.601 luma, 0.299 R + 0.587 G + 0.114 B.
Image with_channels(Image image, int channels);

/// Turns a picture as its EXIF orientation (1 to 8,
/// TIFF 6.0 tag 274) asks, so that row 0 is its top.
Image upright(Image image, int orientation);

}  // namespace haze::apps
