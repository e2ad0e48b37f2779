// SPDX-License-Identifier: MIT
// upsample.h — contract of nearest-neighbour upsampling by two.
#pragma once
#include <cstddef>

#include "kernels/base/dtype.h"

namespace haze::kernels {

/// One call: x is [n, h, w, c] and y is [n, 2h, 2w, c]; both NHWC.
struct UpsampleDims {
  int n, h, w, c;
  auto operator<=>(const UpsampleDims&) const = default;
};

/// y[n,i,j,c] = x[n, i/2, j/2, c]; all of one type. Overwrites y, which must not overlap x.
template <class S>
void upsample2x_forward(S stream, const UpsampleDims& d, ConstAct x, Act y);

/// dx[n,i,j,c] = sum of the four dy[n, 2i..2i+1, 2j..2j+1, c], added in f32; all of one type.
template <class S>
void upsample2x_backward(S stream, const UpsampleDims& d, ConstAct dy, Grad dx);

}  // namespace haze::kernels
