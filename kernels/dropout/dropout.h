// SPDX-License-Identifier: MIT
// dropout.h — contract of dropout (Srivastava et al. 2014). The mask is a function of key, item and
// element: drawn where it is needed, in forward and again in backward, never stored.
#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/base/dtype.h"
#include "kernels/base/noise.h"

namespace haze::kernels {

/// Each element spends 16 bits, so p is rounded to a multiple of 2^-16; so is the scale, which
/// keeps the expectation exact. Element i of an item is kept if its draw is not below `threshold`:
/// half i%2 (low first) of word (i/2)%4 of Philox block i/8.
struct DropoutMask {
  RandomKey key;
  std::uint32_t first_item;
  std::uint32_t threshold;  // round(p·65536)
  float scale;              // 65536/(65536 - threshold)
  /// p in [0,1).
  DropoutMask(float p, const RandomKey& k, std::uint32_t first)
      : key(k),
        first_item(first),
        threshold(std::min(65535u, std::uint32_t(std::lround(double(p) * 65536)))),
        scale(65536.0f / float(65536 - threshold)) {}
};

/// y[n,i] = x[n,i]·(kept ? scale : 0); NaN stays NaN. Overwrites y [n,elements], which may be x.
template <class S>
void dropout_forward(S stream, const ItemDims& d, const DropoutMask& mask, ConstAct x, Act y);

/// dx[n,i] = dy[n,i]·(kept ? scale : 0).
template <class S>
void dropout_backward(S stream, const ItemDims& d, const DropoutMask& mask, ConstAct dy, Grad dx);

}  // namespace haze::kernels
