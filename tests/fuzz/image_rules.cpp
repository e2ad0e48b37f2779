// SPDX-License-Identifier: MIT
#include "tests/fuzz/image_rules.h"

#include "tests/fuzz/errors.h"

namespace haze::fuzz {
namespace {

constexpr std::int64_t kMost = 1 << 20;

struct Refused : InputError {
  Refused() : InputError("refused by its size") {}
};

}  // namespace

std::optional<apps::Image> decode_checked(Input bytes, const Decode& decode) {
  int asked = 0, height = 0, width = 0;
  bool refused = false;
  const auto image = accepted([&] {
    return decode(bytes, [&](int h, int w) {
      ++asked;
      height = h, width = w;
      promise(h >= 1 && w >= 1 && h <= apps::kMostSide && w <= apps::kMostSide &&
                  std::int64_t{h} * w <= apps::kMostPixels,
              "a size of ", h, "x", w, " passed the limits");
      refused = std::int64_t{h} * w > kMost;
      if (refused) throw Refused();
    });
  });
  promise(!(image && refused), "refused by its size and decoded all the same");
  promise(asked <= 1, "the size was asked about ", asked, " times");
  if (!image) return {};
  promise(asked == 1 && image->height == height && image->width == width, "decoded ", image->height,
          "x", image->width, ", asked about ", height, "x", width);
  promise(image->channels == 1 || image->channels == 3, image->channels, " channels");
  promise(image->pixels.size() ==
              std::size_t(height) * std::size_t(width) * std::size_t(image->channels),
          image->pixels.size(), " bytes for ", height, "x", width, "x", image->channels);

  const apps::Image other = apps::with_channels(*image, 4 - image->channels);
  const std::size_t n = std::size_t(height) * std::size_t(width);
  promise(other.pixels.size() == n * std::size_t(other.channels), "with_channels changed the size");
  const apps::Image& grey = image->channels == 1 ? *image : other;
  const apps::Image& colour = image->channels == 1 ? other : *image;
  for (std::size_t i = 0; i < n; ++i) {
    const auto* c = &colour.pixels[3 * i];
    const double luma = 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2];
    promise(std::abs(grey.pixels[i] - luma) <= 0.5 + 1e-9, "grey is ", int(grey.pixels[i]),
            ", luma ", luma);
  }
  return image;
}

}  // namespace haze::fuzz
