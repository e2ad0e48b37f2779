// SPDX-License-Identifier: MIT
#include "apps/image/image.h"

#include "kernels/base/check.h"

namespace haze::apps {

bool Image::is_grey() const {
  if (channels == 1) return true;
  for (std::size_t i = 0; i < pixels.size(); i += 3)
    if (pixels[i] != pixels[i + 1] || pixels[i] != pixels[i + 2]) return false;
  return true;
}

Image with_channels(Image image, int channels) {
  HAZE_CHECK(channels == 1 || channels == 3, "channels=", channels);
  if (image.channels == channels) return image;
  const std::size_t n = std::size_t(image.height) * image.width;
  std::vector<std::uint8_t> converted(n * channels);
  const std::uint8_t* from = image.pixels.data();
  for (std::size_t i = 0; i < n; ++i) {
    if (channels == 1)
      converted[i] = std::uint8_t(
          (299 * from[3 * i] + 587 * from[3 * i + 1] + 114 * from[3 * i + 2] + 500) / 1000);
    else
      for (int c = 0; c < 3; ++c) converted[3 * i + c] = from[i];
  }
  image.channels = channels;
  image.pixels = std::move(converted);
  return image;
}

Image upright(Image image, int orientation) {
  HAZE_CHECK(orientation >= 1 && orientation <= 8, "orientation=", orientation);
  if (orientation == 1) return image;
  // The tag says where the stored first row and first column lie in the upright picture.
  const bool swap = orientation >= 5;
  const bool bottom_up =
      orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool right_left =
      orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  Image turned{
      swap ? image.width : image.height, swap ? image.height : image.width, image.channels, {}};
  turned.pixels.resize(image.pixels.size());
  std::uint8_t* to = turned.pixels.data();
  for (int y = 0; y < turned.height; ++y)
    for (int x = 0; x < turned.width; ++x) {
      const int v = bottom_up ? turned.height - 1 - y : y,
                u = right_left ? turned.width - 1 - x : x;
      const std::size_t from =
          swap ? std::size_t(u) * image.width + v : std::size_t(v) * image.width + u;
      for (int c = 0; c < image.channels; ++c) *to++ = image.pixels[from * image.channels + c];
    }
  return turned;
}

}  // namespace haze::apps
