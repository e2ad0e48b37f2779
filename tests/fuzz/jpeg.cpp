// SPDX-License-Identifier: MIT
// Target: JPEG. Its segments (ITU-T T.81, annex B) are walked by hand, and the picture is
// decoded once more without its EXIF and turned by hand.
#include "apps/image/jpeg.h"

#include "tests/fuzz/errors.h"
#include "tests/fuzz/exif_rules.h"
#include "tests/fuzz/image_rules.h"

namespace haze::fuzz {
namespace {

struct Segments {
  bool clean = false;  // walked from one to the next up to the first scan
  int height = 0, width = 0, components = 0;
  int orientation = 1;
  Bytes without_app1;
};

Segments segments_of(Input jpeg) {
  Segments s;
  if (jpeg.size() < 2) return s;
  s.without_app1.assign(jpeg.begin(), jpeg.begin() + 2);
  for (std::size_t at = 2; at + 4 <= jpeg.size();) {
    const std::uint8_t kind = jpeg[at + 1];
    if (jpeg[at] != 0xFF || kind < 0xC0 || (kind >= 0xD0 && kind <= 0xD9)) return s;
    const std::size_t length = std::size_t(jpeg[at + 2]) << 8 | jpeg[at + 3];
    if (length < 2 || at + 2 + length > jpeg.size()) return s;
    const Input content = jpeg.subspan(at + 4, length - 2);
    const bool frame = kind >= 0xC0 && kind <= 0xCF && kind != 0xC4 && kind != 0xC8 && kind != 0xCC;
    if (frame && content.size() >= 6) {
      s.height = content[1] << 8 | content[2];
      s.width = content[3] << 8 | content[4];
      s.components = content[5];
    }
    if (kind == 0xE1 && s.orientation == 1) s.orientation = expected_orientation(content);
    const bool scan = kind == 0xDA;
    const Input kept = scan ? jpeg.subspan(at) : jpeg.subspan(at, 2 + length);
    if (kind != 0xE1) s.without_app1.insert(s.without_app1.end(), kept.begin(), kept.end());
    if (scan) {
      s.clean = true;
      return s;
    }
    at += 2 + length;
  }
  return s;
}

/// Where the upright picture's pixel (y, x) is stored: EXIF 2.3, figure of the tag Orientation.
std::pair<int, int> stored_at(int orientation, int y, int x, int height, int width) {
  const int bottom = height - 1, right = width - 1;  // of the stored picture
  switch (orientation) {
    case 2:
      return {y, right - x};
    case 3:
      return {bottom - y, right - x};
    case 4:
      return {bottom - y, x};
    case 5:
      return {x, y};
    case 6:
      return {bottom - x, y};
    case 7:
      return {bottom - x, right - y};
    case 8:
      return {x, right - y};
    default:
      return {y, x};
  }
}

void check_turned(const apps::Image& upright, const apps::Image& stored, int orientation) {
  promise(upright.channels == stored.channels, "turned to other channels");
  const bool swapped = orientation >= 5;
  promise(upright.height == (swapped ? stored.width : stored.height) &&
              upright.width == (swapped ? stored.height : stored.width),
          "turned to another size");
  for (int y = 0; y < upright.height; ++y)
    for (int x = 0; x < upright.width; ++x)
      for (int c = 0; c < upright.channels; ++c) {
        const auto [v, u] = stored_at(orientation, y, x, stored.height, stored.width);
        const auto at = [&](const apps::Image& i, int row, int column) {
          return i.pixels[(std::size_t(row) * std::size_t(i.width) + std::size_t(column)) *
                              std::size_t(i.channels) +
                          std::size_t(c)];
        };
        promise(at(upright, y, x) == at(stored, v, u), "orientation ", orientation, ": pixel ", y,
                ",", x);
      }
}

void one_input(Input input) {
  const auto image = decode_checked(input, [](Input bytes, const apps::SizeCheck& check) {
    return apps::decode_jpeg(bytes, "file", check);
  });
  const Segments s = segments_of(input);
  if (!image || !s.clean) return;
  const bool swapped = s.orientation >= 5;
  promise(image->height == (swapped ? s.width : s.height) &&
              image->width == (swapped ? s.height : s.width),
          image->height, "x", image->width, " of a frame of ", s.height, "x", s.width,
          ", orientation ", s.orientation);
  promise(image->channels == (s.components == 1 ? 1 : 3), "another number of channels");
  check_turned(*image, apps::decode_jpeg(s.without_app1, "without"), s.orientation);
}

const Target kTarget("jpeg", one_input);

}  // namespace
}  // namespace haze::fuzz
