// SPDX-License-Identifier: MIT
// pool.h — contract of pooling: the largest or the mean value under a square window.
#pragma once
#include <compare>
#include <cstdint>

#include "kernels/base/dtype.h"
#include "kernels/base/host_device.h"

namespace haze::kernels {

enum class Pooling : std::uint8_t { largest, mean };

/// One call: x is [n,h,w,c], y is [n,ho(),wo(),c]; both NHWC. A window of side x side pixels stands
/// at every `stride`-th pixel, from `pad` pixels outside the image on; 0 <= pad < side. What lies
/// outside is left out: of the largest, and of the mean's sum and its count (PyTorch's
/// count_include_pad = False).
struct PoolDims {
  int n, h, w, c, side, stride, pad;
  HAZE_HD int ho() const { return (h + 2 * pad - side) / stride + 1; }
  HAZE_HD int wo() const { return (w + 2 * pad - side) / stride + 1; }
  auto operator<=>(const PoolDims&) const = default;
};

/// Overwrites y, of x's type, which must not overlap x; sums are f32. A NaN under the window is the
/// result. There is no backward: networks that are trained here halve with convolutions.
template <class S>
void pool_forward(S stream, const PoolDims& d, Pooling pooling, ConstAct x, Act y);

}  // namespace haze::kernels
