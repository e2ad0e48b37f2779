// SPDX-License-Identifier: MIT
// reference.h — labels as the contract reads, what is dropped given.
#pragma once
#include "kernels/labels/labels.h"

namespace haze::kernels::reference {

inline void gather_labels(const LabelDims& d, const std::int32_t* labels, const std::int32_t* index,
                          const bool* dropped, std::int32_t none, std::int32_t* out) {
  for (int n = 0; n < d.n; ++n) out[n] = dropped[n] ? none : labels[index[n]];
}

}  // namespace haze::kernels::reference
