// SPDX-License-Identifier: MIT
// normal_fill.h — contract of the noise that a sampling chain starts from.
#pragma once
#include "kernels/base/noise.h"

namespace haze::kernels {

/// x[n,i] = normal of (key, first_item + n, i). Overwrites x [n,elements] f32.
template <class S>
void normal_fill(S stream, const ItemDims& d, const RandomKey& key, std::uint32_t first_item,
                 float* x);

}  // namespace haze::kernels
