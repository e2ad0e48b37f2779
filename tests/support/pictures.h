// SPDX-License-Identifier: MIT
// pictures.h — images for tests.
#pragma once
#include <random>

#include "apps/image/image.h"
#include "tests/support/data_files.h"

namespace haze::test {

/// Noise: an image in which every pixel differs from its neighbours.
inline apps::Image picture(int height, int width, int channels, unsigned seed = 1) {
  std::mt19937 gen(seed);
  apps::Image image{height, width, channels, Bytes(std::size_t(height) * width * channels)};
  for (auto& v : image.pixels) v = std::uint8_t(gen());
  return image;
}

}  // namespace haze::test
