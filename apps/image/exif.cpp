// SPDX-License-Identifier: MIT
// exif.cpp — the orientation tag and nothing else. Layout: "Exif\0\0", then a TIFF 6.0 header (byte
// order, 42, offset of the first directory) and a directory of 12-byte entries:
// tag, type, count, value.
#include <algorithm>
#include <cstddef>

#include "apps/image/jpeg.h"

namespace haze::apps {

int exif_orientation(std::span<const std::uint8_t> segment) {
  constexpr std::uint8_t kStart[6] = {'E', 'x', 'i', 'f', 0, 0};
  constexpr unsigned kTag = 0x0112, kShort = 3;
  if (segment.size() < 14 || !std::equal(kStart, kStart + 6, segment.begin())) return 1;
  const auto tiff = segment.subspan(6);
  const bool little = tiff[0] == 'I' && tiff[1] == 'I';
  if (!little && !(tiff[0] == 'M' && tiff[1] == 'M')) return 1;
  const auto number = [&](std::size_t at, int bytes) {  // the caller knows that it lies inside
    std::size_t value = 0;
    for (int i = 0; i < bytes; ++i)
      value |= std::size_t{tiff[at + i]} << 8 * (little ? i : bytes - 1 - i);
    return value;
  };
  const std::size_t directory = number(4, 4);
  if (number(2, 2) != 42 || directory > tiff.size() - 2) return 1;
  const std::size_t begin = directory + 2;
  const std::size_t entries = std::min(number(directory, 2), (tiff.size() - begin) / 12);
  for (std::size_t at = begin; at < begin + 12 * entries; at += 12) {
    if (number(at, 2) != kTag) continue;
    const std::size_t value = number(at + 8, 2);
    const bool valid =
        number(at + 2, 2) == kShort && number(at + 4, 4) == 1 && value >= 1 && value <= 8;
    return valid ? int(value) : 1;
  }
  return 1;
}

}  // namespace haze::apps
