// SPDX-License-Identifier: MIT
// sizes.h — products of sizes that come from outside: files, flags, configurations. Checked, so that
// none wraps around to a small number that looks right.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>

#include "kernels/base/check.h"

namespace haze {

/// The product of the factors, or nothing if it exceeds `limit`.
inline std::optional<std::uint64_t> product_within(std::initializer_list<std::uint64_t> factors,
                                                   std::uint64_t limit) {
  std::uint64_t product = 1;
  for (const std::uint64_t f : factors)
    if (f == 0) return 0;
  for (const std::uint64_t f : factors)
    if (__builtin_mul_overflow(product, f, &product) || product > limit) return std::nullopt;
  return product;
}

/// Most elements of one tensor that kernels count in an int.
inline constexpr std::uint64_t kMostElements = std::numeric_limits<int>::max();

/// The product of the factors as an int, which is how kernels count. InputError with `what` is
/// counted and the factors if it is above 2^31 - 1: "hidden layer: 16384 x 64 x 8192; ...".
inline int checked_int(const std::string& what, std::initializer_list<std::uint64_t> factors) {
  if (const auto product = product_within(factors, kMostElements)) return int(*product);
  std::string text;
  for (const std::uint64_t f : factors) text += cat(text.empty() ? "" : " x ", f);
  throw InputError(cat(what, ": ", text, "; at most ", kMostElements, " are possible"));
}

}  // namespace haze
