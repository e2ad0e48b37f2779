// SPDX-License-Identifier: MIT
// item_tiles.h — losses as sums over items: values in tiles of an item, tiles in items, items in the
// mean, weighted by their times. The order follows from n and elements alone. The sums themselves:
// kernels/cpu/item_sums.h and kernels/cuda/item_sums.h.
#pragma once
#include <limits>

#include "kernels/base/check.h"
#include "kernels/base/noise.h"

namespace haze::kernels {

/// An item is cut into tiles of this many elements; each tile's sum is one double.
constexpr int kItemTile = 256;
inline std::size_t item_sums_bytes(const ItemDims& d) {
  return std::size_t(d.n) * std::size_t((d.elements + kItemTile - 1) / kItemTile) * sizeof(double);
}

/// A table over time, [steps], read at an item's time t[n].
struct TimeTable {
  const float* values = nullptr;  // null: `otherwise` at every time
  const std::int32_t* t = nullptr;
  int steps = 0;
  /// NaN if the time is outside the table.
  HAZE_HD float at(std::size_t n, float otherwise) const {
    if (!values) return otherwise;
    const std::int32_t time = t[n];
    if (unsigned(time) >= unsigned(steps)) return std::numeric_limits<float>::quiet_NaN();
    return values[time];
  }
};

}  // namespace haze::kernels
