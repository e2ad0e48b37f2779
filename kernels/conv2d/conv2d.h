// SPDX-License-Identifier: MIT
// conv2d.h — contract of the two-dimensional convolution (cross-correlation, as every framework's
// Conv2d): y[n,p,q,o] = Σ_{r,s,i} x[n, p·stride - pad_top + r, q·stride - pad_left + s, i]
// w[o,r,s,i], where x is 0 outside the image.
//
// Images are NHWC, weights [Co,kH,kW,Ci], both in the type of the activations; bias and the
// gradients of weights and bias are f32; sums are f32.
#pragma once
#include <compare>
#include <cstddef>

#include "kernels/base/joined.h"

namespace haze::kernels {

/// One call: x is [n,h,w,ci], w is [co,kh,kw,ci], y is [n,ho(),wo(),co]. Stride 1 or 2; padding (of
/// zeros) below the kernel's extent.
struct Conv2dDims {
  int n, h, w, ci, co, kh, kw, stride;
  int pad_top, pad_left, pad_bottom, pad_right;
  int ci2 = 0;  // of the ci channels of x and dx, the last ci2 are a tensor of their own
  int ho() const { return (h + pad_top + pad_bottom - kh) / stride + 1; }
  int wo() const { return (w + pad_left + pad_right - kw) / stride + 1; }
  auto operator<=>(const Conv2dDims&) const = default;
};

/// What is added to the convolution before it is rounded to y; each may be null.
struct Conv2dSummands {
  const float* bias = nullptr;  // [co]
  ConstAct per_channel;         // [n,co], the same at every pixel of an image
  ConstAct residual;            // [n,ho,wo,co]; not y
};

/// y = conv(x, w) + summands. Overwrites y. An image's result does not depend, not in one bit, on
/// how many others are in the batch.
template <class S>
void conv2d_forward(S stream, const Conv2dDims& d, Joined<ConstAct> x, ConstAct w,
                    const Conv2dSummands& summands, Act y, void* scratch);
template <class S>
std::size_t conv2d_forward_scratch_bytes(S stream, const Conv2dDims& d, DType type,
                                         const Conv2dSummands& summands);

/// Gradient of x, in the activations' type: dx (+)= Σ dy w. Not to be called with null dx; of two
/// tensors, each has its own mode and one may be null.
template <class S>
void conv2d_backward_data(S stream, const Conv2dDims& d, ConstAct dy, ConstAct w, Joined<Grad> dx,
                          void* scratch);
template <class S>
std::size_t conv2d_backward_data_scratch_bytes(S stream, const Conv2dDims& d,
                                               const Joined<Grad>& dx);

/// Where the gradients of a convolution's weights and summands go; each may be null.
struct Conv2dWeightGrads {
  Grad w;            // [co,kh,kw,ci], f32 (or bf16)
  Grad bias;         // [co], f32: Σ_{n,p,q} dy
  Grad per_channel;  // [n,co], in the activations' type (or f32): Σ_{p,q} dy
};
template <class S>
void conv2d_backward_weights(S stream, const Conv2dDims& d, Joined<ConstAct> x, ConstAct dy,
                             const Conv2dWeightGrads& grads, void* scratch);
template <class S>
std::size_t conv2d_backward_weights_scratch_bytes(S stream, const Conv2dDims& d, DType type,
                                                  const Conv2dWeightGrads& grads);

/// Whether the last bits of dw depend on the number of CPU threads: where oneDNN has instructions
/// for the type, as it adds up by threads. Linear layers are then no different.
template <class S>
bool conv2d_depends_on_threads(S stream, DType type);

}  // namespace haze::kernels
