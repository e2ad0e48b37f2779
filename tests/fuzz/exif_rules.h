// SPDX-License-Identifier: MIT
// exif_rules.h — the orientation tag by TIFF 6.0, each byte asked for with its bounds.
#pragma once
#include <optional>

#include "tests/fuzz/target.h"

namespace haze::fuzz {

inline int expected_orientation(Input segment) {
  const auto byte = [&](std::uint64_t at) -> std::optional<std::uint64_t> {
    if (at + 6 < segment.size()) return segment[at + 6];
    return {};
  };
  const Bytes head(segment.begin(),
                   segment.begin() + std::ptrdiff_t(std::min<std::size_t>(6, segment.size())));
  if (head != Bytes{'E', 'x', 'i', 'f', 0, 0} || segment.size() < 14) return 1;
  const auto order = byte(0);
  if (order != byte(1) || (order != 'I' && order != 'M')) return 1;
  const auto number = [&](std::uint64_t at, int bytes) -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) {
      const auto b = byte(at + std::uint64_t(order == 'I' ? bytes - 1 - i : i));
      if (!b) return {};
      value = value << 8 | *b;
    }
    return value;
  };
  if (number(2, 2) != 42) return 1;
  const std::uint64_t directory = *number(4, 4);
  const auto entries = number(directory, 2);
  if (!entries) return 1;
  for (std::uint64_t i = 0; i < *entries; ++i) {
    const std::uint64_t at = directory + 2 + 12 * i;
    if (!byte(at + 11)) return 1;  // cut off: haze reads whole entries only
    if (number(at, 2) != 0x0112) continue;
    const auto value = number(at + 8, 2);
    const bool valid =
        number(at + 2, 2) == 3 && number(at + 4, 4) == 1 && *value >= 1 && *value <= 8;
    return valid ? int(*value) : 1;
  }
  return 1;
}

}  // namespace haze::fuzz
