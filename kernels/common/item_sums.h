// item_sums.h — losses as sums over items: values in tiles of an item, tiles in items, items in the
// mean, weighted by their times. The order follows from n and elements alone.
#pragma once
#include <limits>

#include "kernels/common/check.h"
#include "kernels/common/noise.h"

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

inline void check_times(int n, const std::int32_t* t, int steps) {
  for (int i = 0; i < n; ++i)
    HAZE_CHECK(t[i] >= 0 && t[i] < steps, "t[", i, "] is ", t[i], ", must be in [0,", steps, ')');
}

/// On the CPU: mean[0] = weighted mean over all values of d, from its tiles' sums; unless null,
/// means [n] = the items' own, without weight.
inline void mean_of_tiles(const ItemDims& d, const TimeTable& weight, const double* partial,
                          float* mean, float* means) {
  const int per_item = (d.elements + kItemTile - 1) / kItemTile;
  double sum = 0;
  for (int n = 0; n < d.n; ++n) {
    double of_item = 0;
    for (int k = 0; k < per_item; ++k) of_item += *partial++;
    if (means) means[n] = float(of_item / d.elements);
    sum += double(weight.at(std::size_t(n), 1)) * of_item;
  }
  *mean = float(sum / double(d.size()));
}

}  // namespace haze::kernels
