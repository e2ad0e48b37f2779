// SPDX-License-Identifier: MIT
// Target: resizing. Input: sizes (height and width, two bytes each, of the source; one each of
// the result), channels, a value for all pixels, then values of single pixels. Held against the
// filter in real numbers.
#include "apps/image/resize.h"

#include <algorithm>
#include <cmath>

#include "tests/fuzz/target.h"

namespace haze::fuzz {
namespace {

struct Picture {
  int height, width, channels;
  Bytes pixels;
  std::uint8_t at(int y, int x, int c) const {
    return pixels[(std::size_t(y) * std::size_t(width) + std::size_t(x)) * std::size_t(channels) +
                  std::size_t(c)];
  }
};

/// Weights of the source's pixels in result pixel i, as resize.h describes the filter.
std::vector<double> weights(int from, double scale, double origin, int i) {
  const double centre = origin + (i + 0.5) * scale, radius = std::max(1.0, scale);
  std::vector<double> w(std::size_t(from), 0);
  double sum = 0;
  for (int k = 0; k < from; ++k)
    sum += w[std::size_t(k)] = std::max(0.0, 1 - std::abs(k + 0.5 - centre) / radius);
  for (double& v : w) v /= sum;
  return w;
}

void check(const Picture& from, const Picture& to) {
  const double scale = std::min(double(from.height) / to.height, double(from.width) / to.width);
  const auto [least, most] = std::ranges::minmax(from.pixels);
  for (const auto v : to.pixels)
    promise(v >= least && v <= most, "value ", int(v), " from ", int(least), " to ", int(most));
  // Corners and the middle: all pixels would take too long.
  for (const int y : {0, to.height / 2, to.height - 1})
    for (const int x : {0, to.width / 2, to.width - 1}) {
      const auto down = weights(from.height, scale, (from.height - to.height * scale) / 2, y);
      const auto across = weights(from.width, scale, (from.width - to.width * scale) / 2, x);
      for (int c = 0; c < from.channels; ++c) {
        double want = 0;
        for (int v = 0; v < from.height; ++v) {
          if (down[std::size_t(v)] == 0) continue;
          double row = 0;
          for (int u = 0; u < from.width; ++u)
            if (across[std::size_t(u)] > 0) row += across[std::size_t(u)] * from.at(v, u, c);
          want += down[std::size_t(v)] * row;
        }
        promise(std::abs(to.at(y, x, c) - want) < 1, "pixel ", y, ",", x, " is ",
                int(to.at(y, x, c)), ", want ", want);
      }
    }
}

void one_input(Input input) {
  if (input.size() < 8) return;
  const auto side = [&](int at) {
    return 1 + (input[std::size_t(at)] | (input[std::size_t(at) + 1] & 1) << 8);
  };
  Picture from{side(0), side(2), input[6] & 1 ? 3 : 1, {}};
  Picture to{1 + input[4] % 64, 1 + input[5] % 64, from.channels, {}};
  const auto bytes = [](const Picture& p) {
    return std::size_t(p.height) * std::size_t(p.width) * std::size_t(p.channels);
  };
  from.pixels.assign(bytes(from), input[7]);
  for (std::size_t k = 8; k < input.size(); ++k)
    from.pixels[k * 2654435761u % from.pixels.size()] = input[k];
  to.pixels.resize(bytes(to));
  apps::resize_and_crop(from.pixels.data(), from.height, from.width, from.channels,
                        to.pixels.data(), to.height, to.width);
  check(from, to);
}

const Target kTarget("resize", one_input);

}  // namespace
}  // namespace haze::fuzz
