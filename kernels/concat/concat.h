// SPDX-License-Identifier: MIT
// concat.h — contract of the U-Net's skip connections: two NHWC tensors joined along their channels.
#pragma once
#include <cstddef>

#include "kernels/base/dtype.h"

namespace haze::kernels {

/// One call: a is [pixels, ca], b is [pixels, cb], y is [pixels, ca + cb]; pixels = N·H·W.
struct ConcatDims {
  std::size_t pixels;
  int ca, cb;
  auto operator<=>(const ConcatDims&) const = default;
};

/// y[p,:] = a[p,:] then b[p,:]; all of one type. Overwrites y, which must not overlap a or b.
template <class S>
void concat_channels_forward(S stream, const ConcatDims& d, ConstAct a, ConstAct b, Act y);

/// da[p,:] = the first ca of dy[p,:], db[p,:] the last cb; all of one type. Each is overwritten or
/// added to by its own mode, and skipped when null. Neither may overlap dy or the other.
template <class S>
void concat_channels_backward(S stream, const ConcatDims& d, ConstAct dy, Grad da, Grad db);

}  // namespace haze::kernels
