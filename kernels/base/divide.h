// SPDX-License-Identifier: MIT
// divide.h — division by a number that the host knows and the compiler does not: a multiplication
// and a shift instead of the twenty instructions of an integer division. (Granlund and Montgomery,
// "Division by invariant integers using multiplication", PLDI 1994.)
#pragma once
#include <cstdint>

#include "kernels/base/host_device.h"

namespace haze::kernels {

/// Quotients and remainders of 0 <= n < 2^31 by a divisor of 1 to 2^31 - 1.
struct Divide {
  std::uint32_t divisor = 1, multiplier = 1, shift = 0;
  Divide() = default;
  explicit Divide(int d) : divisor(std::uint32_t(d)) {
    while ((std::uint64_t{1} << shift) < divisor) ++shift;
    multiplier = std::uint32_t((((std::uint64_t{1} << shift) - divisor) << 32) / divisor +
                               1);  // ~ 2^(32+s)/d - 2^32
  }
  HAZE_HD int quotient(int n) const {
    const auto u = std::uint32_t(n);
    const auto high = std::uint32_t((std::uint64_t{u} * multiplier) >> 32);
    return int((high + u) >> shift);
  }
  HAZE_HD int remainder(int n, int quotient) const { return n - quotient * int(divisor); }
};

}  // namespace haze::kernels
