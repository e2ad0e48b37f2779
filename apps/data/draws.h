// SPDX-License-Identifier: MIT
// draws.h — what an image drawn by the program is made of: a row of random numbers of its own.
#pragma once
#include <cmath>
#include <cstdint>

#include "engine/random.h"

namespace haze::apps {

/// The random numbers of image `item` of drawn set number `set`, one after the other.
class Draws {
 public:
  Draws(std::uint32_t set, std::uint32_t item) : set_(set), item_(item) {}

  /// In [low, high).
  double uniform(double low, double high) { return low + (high - low) * next() * 0x1p-32; }
  /// Close to N(0, 1), within ±3.5: the sum of four uniform draws.
  double bell() {
    double sum = -2;
    for (int i = 0; i < 4; ++i) sum += next() * 0x1p-32;
    return sum * 1.7320508075688772;
  }
  /// N(0, 1), by Box and Muller from two draws (the first of them from (0, 1]).
  double normal() {
    const double radius = std::sqrt(-2 * std::log((next() + 1.0) * 0x1p-32));
    return radius * std::cos(6.283185307179586 * next() * 0x1p-32);
  }
  /// In [0, n).
  int below(int n) { return int(haze::below(next(), std::uint32_t(n))); }

 private:
  std::uint32_t next() {
    const RandomKey key{0, engine::streams::kSynthetic, set_};
    if (used_ % 4 == 0) block_ = random4(key, item_, used_ / 4);
    return block_.v[used_++ % 4];
  }

  std::uint32_t set_, item_, used_ = 0;
  Random4 block_{};
};

}  // namespace haze::apps
