// SPDX-License-Identifier: MIT
// image_set.h — a data set as training takes it: the stored images, their labels, how they are read.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace haze::model {

/// M images of [H,W,C], as bytes or as numbers. What the spans point at stays the caller's.
struct ImageSet {
  int height = 0, width = 0, channels = 0;
  std::span<const std::uint8_t> images = {};  // [M,H,W,C]
  std::span<const float> values = {};         // in place of images: numbers, taken as they are
  std::span<const std::int32_t> labels = {};  // [M]; for conditional networks
  bool zero_to_one = false;                   // bytes become [0,1] (labml) instead of [-1,1]

  /// Values of one image.
  std::size_t image_size() const {
    return std::size_t(height) * std::size_t(width) * std::size_t(channels);
  }
  std::size_t count() const { return std::max(images.size(), values.size()) / image_size(); }
  bool is_numbers() const { return !values.empty(); }
  /// The stored images and the size of one.
  std::span<const std::byte> bytes() const {
    return is_numbers() ? std::as_bytes(values) : std::as_bytes(images);
  }
  std::size_t image_bytes() const {
    return image_size() * (is_numbers() ? sizeof(float) : sizeof(std::uint8_t));
  }
};

}  // namespace haze::model
