// SPDX-License-Identifier: MIT
// labels.cpp — CPU backend.
#include "kernels/labels/labels.h"

#include "kernels/base/check.h"
#include "kernels/base/stream.h"

namespace haze::kernels {

template <>
void gather_labels(CpuStream, const LabelDims& d, const std::int32_t* labels,
                   const std::int32_t* index, const LabelDrop& drop, std::int32_t* out) {
  const RandomKey key = resolved(drop.key);
  const std::uint64_t threshold = drop_threshold(drop.probability);
  for (int n = 0; n < d.n; ++n) {
    HAZE_CHECK(index[n] >= 0 && index[n] < d.stored, "index[", n, "] is ", index[n],
               ", must be in [0,", d.stored, ')');
    const std::uint32_t bits = random4(key, drop.first_item + std::uint32_t(n), 0).v[0];
    out[n] = bits < threshold ? drop.none : labels[index[n]];
  }
}

}  // namespace haze::kernels
