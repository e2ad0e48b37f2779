// SPDX-License-Identifier: MIT
// add.h — contract of the element-wise additions: y = a + b, the in-place accumulation of
// gradients, and the addition of one vector per image and channel (the time embedding).
#pragma once
#include <cstddef>

#include "kernels/base/dtype.h"

namespace haze::kernels {

/// y[i] = a[i] + b[i] for i < n; all of one type. Overwrites y, which may be a or b.
template <class S>
void add_forward(S stream, std::size_t n, ConstAct a, ConstAct b, Act y);

/// to[i] = from[i] (mode overwrite) or to[i] += from[i] (mode add), for i < n. Types may differ.
template <class S>
void deliver(S stream, std::size_t n, ConstAct from, Grad to);

/// One call: x is [n, hw, c], v is [n, c].
struct AddChannelDims {
  int n, hw, c;
  auto operator<=>(const AddChannelDims&) const = default;
};

/// y[n,p,c] = x[n,p,c] + v[n,c]; all of one type. Overwrites y, which may be x.
template <class S>
void add_channel_forward(S stream, const AddChannelDims& d, ConstAct x, ConstAct v, Act y);

/// dv[n,c] = sum over p of dy[n,p,c] (f32 accumulators). The gradient of x is dy itself.
template <class S>
void add_channel_backward(S stream, const AddChannelDims& d, ConstAct dy, Grad dv);

}  // namespace haze::kernels
