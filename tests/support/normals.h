// SPDX-License-Identifier: MIT
// normals.h — test helper: the normals a kernel draws, one block at a time.
#pragma once
#include <vector>

#include "kernels/base/philox.h"

namespace haze::test {

/// [n,elements] of (key, first + item, element).
inline std::vector<double> drawn_normals(const RandomKey& key, std::uint32_t first, int n,
                                         int elements) {
  std::vector<double> z;
  for (int item = 0; item < n; ++item)
    for (int i = 0; i < elements; ++i) {
      float four[4];
      normal4(key, first + std::uint32_t(item), std::uint32_t(i / 4), four);
      z.push_back(four[i % 4]);
    }
  return z;
}

}  // namespace haze::test
