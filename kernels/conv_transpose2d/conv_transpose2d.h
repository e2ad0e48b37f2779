// SPDX-License-Identifier: MIT
// conv_transpose2d.h — contract of the transposed convolution that doubles an image: kernel 4x4,
// stride 2, padding 1 (PyTorch's ConvTranspose2d(ci, co, 4, 2, 1)). It is the gradient of a 4x4
// stride-2 convolution: y[n, 2p-1+r, 2q-1+s, o] += x[n,p,q,i] w[o,r,s,i], what falls outside
// dropped.
//
// Images are NHWC, weights [Co,4,4,Ci], both in the type of the activations; bias and the gradients
// of weights and bias are f32; sums are f32.
#pragma once
#include <compare>
#include <cstddef>

#include "kernels/base/dtype.h"

namespace haze::kernels {

/// One call: x is [n,h,w,ci], w is [co,4,4,ci], y is [n,2h,2w,co].
struct ConvTranspose2dDims {
  int n, h, w, ci, co;
  auto operator<=>(const ConvTranspose2dDims&) const = default;
};

/// y = transposed conv(x, w) + bias; bias [co] may be null. Overwrites y. An image's result does
/// not depend on how many others are in the batch.
template <class S>
void conv_transpose2d_forward(S stream, const ConvTranspose2dDims& d, ConstAct x, ConstAct w,
                              const float* bias, Act y, void* scratch);
template <class S>
std::size_t conv_transpose2d_forward_scratch_bytes(S stream, const ConvTranspose2dDims& d,
                                                   DType type);

/// Gradient of x, in the activations' type. Not to be called with null dx.
template <class S>
void conv_transpose2d_backward_data(S stream, const ConvTranspose2dDims& d, ConstAct dy, ConstAct w,
                                    Grad dx, void* scratch);
template <class S>
std::size_t conv_transpose2d_backward_data_scratch_bytes(S stream, const ConvTranspose2dDims& d,
                                                         const Grad& dx);

/// Gradients of the weights, f32 (or bf16), and of the bias [co], f32. Either may be null.
template <class S>
void conv_transpose2d_backward_weights(S stream, const ConvTranspose2dDims& d, ConstAct x,
                                       ConstAct dy, Grad dw, Grad dbias, void* scratch);
template <class S>
std::size_t conv_transpose2d_backward_weights_scratch_bytes(S stream, const ConvTranspose2dDims& d,
                                                            DType type, const Grad& dw,
                                                            const Grad& dbias);

}  // namespace haze::kernels
