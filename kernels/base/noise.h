// SPDX-License-Identifier: MIT
// noise.h — normals that a kernel draws itself or is given.
#pragma once
#include <cstddef>

#include "kernels/base/philox.h"

namespace haze::kernels {

/// n items of `elements` values each, contiguous.
struct ItemDims {
  int n, elements;
  auto operator<=>(const ItemDims&) const = default;
  std::size_t size() const { return std::size_t(n) * std::size_t(elements); }
};

/// Standard normals [n,elements]: `given`, or if null those of (key, first_item + n, element).
struct Noise {
  const float* given = nullptr;
  RandomKey key;
  std::uint32_t first_item = 0;
};

HAZE_HD inline Noise resolved(const Noise& noise) {
  return {noise.given, resolved(noise.key), noise.first_item};
}

}  // namespace haze::kernels
