// SPDX-License-Identifier: MIT
// matmul.h — contract of the linear layer's three products: y = x wᵀ + b, dx = dy w, dw = dyᵀ x.
//
// Matrices are row-major: x [rows,in], w [out,in] (PyTorch's Linear), y [rows,out], all in the type
// of the activations; bias and the gradients of w and bias are f32; sums are f32.
#pragma once
#include <compare>
#include <cstddef>

#include "kernels/base/dtype.h"

namespace haze::kernels {

struct MatmulDims {
  int rows, in, out;
  auto operator<=>(const MatmulDims&) const = default;
};

/// y[r,o] = Σ_i x[r,i] w[o,i] + bias[o] + residual[r,o], rounded once; bias and residual may be
/// null, residual is not y. Overwrites y. A row's result is the same for any `rows`.
template <class S>
void matmul_forward(S stream, const MatmulDims& d, ConstAct x, ConstAct w, const float* bias,
                    ConstAct residual, Act y, void* scratch);
template <class S>
std::size_t matmul_forward_scratch_bytes(S stream, const MatmulDims& d, DType type, bool with_bias,
                                         bool with_residual);

/// dx[r,i] (+)= Σ_o dy[r,o] w[o,i], in the activations' type. Not to be called with null dx.
template <class S>
void matmul_backward_data(S stream, const MatmulDims& d, ConstAct dy, ConstAct w, Grad dx,
                          void* scratch);
template <class S>
std::size_t matmul_backward_data_scratch_bytes(S stream, const MatmulDims& d, const Grad& dx);

/// dw[o,i] (+)= Σ_r dy[r,o] x[r,i], f32 (or bf16), and dbias[o] (+)= Σ_r dy[r,o], f32; either
/// may be null.
template <class S>
void matmul_backward_weights(S stream, const MatmulDims& d, ConstAct x, ConstAct dy, Grad dw,
                             Grad dbias, void* scratch);
template <class S>
std::size_t matmul_backward_weights_scratch_bytes(S stream, const MatmulDims& d, DType type,
                                                  const Grad& dw, const Grad& dbias);

}  // namespace haze::kernels
