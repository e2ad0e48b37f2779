// SPDX-License-Identifier: MIT
// gemm.h — CUDA backend: the matrix products behind conv2d, conv_transpose2d and matmul. Between a
// large image and a small one (the large one under a strided kernel) there are three: small from
// large, large from small, and the weights' gradient from both. A convolution's forward is the
// first, a transposed convolution's the second, and each one's gradient of x is the other; a linear
// layer is a 1x1 convolution of images of one pixel. On a stream with tf32 set all three round
// what they multiply, except where channels do not fill vectors of 16 bytes: those stay exact.
#pragma once
#include <cstddef>

#include "kernels/base/dtype.h"
#include "kernels/base/stream.h"

namespace haze::kernels::gemm {

/// The large image [n,h,w], the small one [n,ho,wo], and the kernel between them: small pixel
/// (p, q) reads large pixel (p·stride - pad_top + r, q·stride - pad_left + s) at tap (r, s).
struct Geometry {
  int n, h, w, ho, wo, kh, kw, stride, pad_top, pad_left;
  int taps() const { return kh * kw; }
  int small_pixels() const { return n * ho * wo; }
};

/// Weights are [outputs, kh, kw, summed channels] or [summed channels, kh, kw, outputs].
enum class WeightOrder : std::uint8_t { outputs_first, summed_first };

/// One product of images and weights.
struct Operands {
  int channels, outputs;  // summed; of the result
  ConstAct x;             // [.., channels]
  ConstAct w;
  WeightOrder order;
  // What is added to the sums before they are rounded; each may be null.
  const float* bias = nullptr;  // [outputs]
  ConstAct per_channel = {};    // [n, outputs]
  ConstAct residual = {};       // of the result's shape; may be the result itself
  Act y = {};                   // [.., outputs]
  // Two tensors for one (joined.h): the last channels2 of x's channels are x2's, the last outputs2
  // of the result's are y2's. Of two results one may be null.
  int channels2 = 0, outputs2 = 0;
  ConstAct x2 = {}, residual2 = {};
  Act y2 = {};
};

/// From the large image: y [n,ho,wo,outputs]. A pixel's sum does not depend on n.
void small_from_large(CudaStream stream, const Geometry& g, const Operands& o);
/// From the small image: y [n,h,w,outputs]. A pixel's sum does not depend on n.
void large_from_small(CudaStream stream, const Geometry& g, const Operands& o);

/// dw (+)= Σ over small pixels of small [n,ho,wo,rows] times the large pixels [n,h,w,columns] that
/// the taps read there.
struct WeightProduct {
  int rows, columns;  // channels of the small and of the large image
  ConstAct small, large;
  WeightOrder order;  // of dw: [rows, kh, kw, columns], or (summed_first) [columns, kh, kw, rows]
  Grad dw;
  int columns2 = 0;  // of the columns, the last are large2's
  ConstAct large2 = {};
};
void weight_gradient(CudaStream stream, const Geometry& g, const WeightProduct& p, void* scratch);
std::size_t weight_gradient_scratch_bytes(const Geometry& g, int rows, int columns, DType type);

/// Sums over `rows` rows of each of `groups` matrices [rows, columns]: per_group [groups, columns]
/// and all [columns], f32 or in their types; each may be null.
struct ColumnSums {
  int groups, rows, columns;
  ConstAct x;
  Grad per_group = {}, all = {};
};
void column_sums(CudaStream stream, const ColumnSums& sums, void* scratch);
std::size_t column_sums_scratch_bytes(int groups, int rows, int columns);

}  // namespace haze::kernels::gemm
