// SPDX-License-Identifier: MIT
// mutate.h — small changes to an input, drawn from a seed: the same ones on every machine.
#pragma once
#include <algorithm>
#include <array>
#include <random>

#include "tests/fuzz/target.h"

namespace haze::fuzz {

class Mutator {
 public:
  explicit Mutator(unsigned seed) : draw_(seed) {}

  /// `input` with one to four changes; `other` lends pieces.
  Bytes mutated(Bytes input, Input other) {
    for (std::size_t n = 1 + below(4); n > 0; --n) change(input, other);
    return input;
  }
  /// 0 to n - 1.
  std::size_t below(std::size_t n) { return draw_() % n; }

 private:
  void change(Bytes& b, Input other) {
    const std::size_t at = below(b.size() + 1), left = b.size() - at;
    const std::size_t length = std::min(left, 1 + below(below(4) ? 8 : 64));
    const auto begin = b.begin() + std::ptrdiff_t(at), end = begin + std::ptrdiff_t(length);
    switch (below(7)) {
      case 0:  // a bit
        if (left) *begin = std::uint8_t(*begin ^ 1u << below(8));
        break;
      case 1:  // a byte
        if (left) *begin = std::uint8_t(draw_());
        break;
      case 2:  // bytes that are often a limit
        for (auto i = begin; i != end; ++i) *i = kLimits[below(kLimits.size())];
        break;
      case 3:
        b.erase(begin, end);
        break;
      case 4: {  // once more
        const Bytes piece(begin, end);
        b.insert(begin, piece.begin(), piece.end());
        break;
      }
      case 5: {  // from elsewhere
        if (other.empty()) break;
        const Input piece = other.subspan(below(other.size()));
        b.insert(
            begin, piece.begin(),
            piece.begin() + std::ptrdiff_t(std::min<std::size_t>(piece.size(), 1 + below(64))));
        break;
      }
      default:  // cut off, now and then
        if (below(8) == 0) b.resize(at);
    }
  }
  static constexpr std::array<std::uint8_t, 8> kLimits = {0, 1, 0x7F, 0x80, 0xFF, '"', '9', '{'};
  std::mt19937 draw_;
};

}  // namespace haze::fuzz
