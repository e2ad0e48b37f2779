// SPDX-License-Identifier: MIT
#include "apps/given_image.h"

#include "apps/data/dataset.h"
#include "apps/data/input_file.h"
#include "apps/image/jpeg.h"
#include "apps/image/resize.h"
#include "kernels/base/check.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

Image read_picture(const std::string& path, const SizeCheck& check) {
  return decode_image(read_file(path, kMostFileBytes), printable(path), check);
}

/// "mnist:DIR@7" as data set and number; nothing for a file's name.
bool names_dataset_image(const std::string& where, std::string& spec, int& index) {
  const std::size_t at = where.rfind('@'), colon = where.find(':');
  if (at == where.npos || colon == where.npos || colon > at) return false;
  const auto number = parse_number<int>(std::string_view(where).substr(at + 1));
  if (!number || *number < 0)
    throw InputError(cat("--image: ", where, "; DATASET@NUMBER, as in mnist:DIR@7"));
  index = *number;
  spec = where.substr(0, at);
  return true;
}

Image image_of_dataset(const std::string& where, const std::string& spec, int index, int height,
                       int width, int channels) {
  const Dataset set = open_dataset(spec, {.height = height, .width = width, .channels = channels});
  if (set.is_points()) throw InputError(cat("--image: ", where, "; points are no pictures"));
  if (index >= set.count)
    throw InputError(cat("--image: ", where, "; the data set has ", set.count, " images"));
  const std::size_t size = set.images.size() / std::size_t(set.count);
  const auto first = set.images.begin() + std::ptrdiff_t(size * std::size_t(index));
  return {height, width, channels, {first, first + std::ptrdiff_t(size)}};
}

}  // namespace

Image open_given_image(const std::string& where, int height, int width, int channels) {
  std::string spec;
  int index = 0;
  if (names_dataset_image(where, spec, index))
    return image_of_dataset(where, spec, index, height, width, channels);
  const auto large_enough = [&](int h, int w) {
    if (h < height || w < width)
      throw InputError(cat("--image: ", where, ": ", h, "x", w,
                           " pixels (height x width); at least ", height, "x", width,
                           ", the network's size"));
  };
  const Image image = with_channels(read_picture(where, large_enough), channels);
  Image fitted{
      height, width, channels,
      std::vector<std::uint8_t>(std::size_t(height) * std::size_t(width) * std::size_t(channels))};
  resize_and_crop(image.pixels.data(), image.height, image.width, channels, fitted.pixels.data(),
                  height, width);
  return fitted;
}

Image open_mask(const std::string& path, int height, int width) {
  const auto of_that_size = [&](int h, int w) {
    if (h != height || w != width)
      throw InputError(cat("--mask: ", path, ": ", h, "x", w, " pixels (height x width); ", height,
                           "x", width, ", the network's size"));
  };
  return with_channels(read_picture(path, of_that_size), 1);
}

}  // namespace haze::apps
