// SPDX-License-Identifier: MIT
// item_sums.h — how losses are summed in the CPU backend, and the check of times on the host.
#pragma once
#include "kernels/base/check.h"
#include "kernels/base/item_tiles.h"

namespace haze::kernels {

inline void check_times(int n, const std::int32_t* t, int steps) {
  for (int i = 0; i < n; ++i)
    HAZE_CHECK(t[i] >= 0 && t[i] < steps, "t[", i, "] is ", t[i], ", must be in [0,", steps, ')');
}

/// mean[0] = weighted mean over all values of d, from its tiles' sums; unless null,
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
