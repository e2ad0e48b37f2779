// SPDX-License-Identifier: MIT
// matmul.cu — CUDA backend: a 1x1 convolution of images of one pixel (kernels/cuda/gemm).
#include <algorithm>

#include "kernels/cuda/gemm/gemm.h"
#include "kernels/matmul/matmul.h"

namespace haze::kernels {
namespace {

gemm::Geometry geometry(const MatmulDims& d) { return {d.rows, 1, 1, 1, 1, 1, 1, 1, 0, 0}; }

}  // namespace

template <>
std::size_t matmul_forward_scratch_bytes(CudaStream, const MatmulDims&, DType, bool, bool) {
  return 0;
}

template <>
void matmul_forward(CudaStream s, const MatmulDims& d, ConstAct x, ConstAct w, const float* bias,
                    ConstAct residual, Act y, void*) {
  gemm::small_from_large(s, geometry(d),
                         {.channels = d.in,
                          .outputs = d.out,
                          .x = x,
                          .w = w,
                          .order = gemm::WeightOrder::outputs_first,
                          .bias = bias,
                          .residual = residual,
                          .y = y});
}

template <>
std::size_t matmul_backward_data_scratch_bytes(CudaStream, const MatmulDims&, const Grad&) {
  return 0;
}

template <>
void matmul_backward_data(CudaStream s, const MatmulDims& d, ConstAct dy, ConstAct w, Grad dx,
                          void*) {
  HAZE_CHECK(dy.dtype == dx.dtype, "dy is ", name_of(dy.dtype), ", dx is ", name_of(dx.dtype));
  const Act y{dx.data, dx.dtype};
  gemm::small_from_large(s, geometry(d),
                         {.channels = d.out,
                          .outputs = d.in,
                          .x = dy,
                          .w = w,
                          .order = gemm::WeightOrder::summed_first,
                          .residual = dx.adds() ? ConstAct(y) : ConstAct{},
                          .y = y});
}

template <>
std::size_t matmul_backward_weights_scratch_bytes(CudaStream, const MatmulDims& d, DType type,
                                                  const Grad& dw, const Grad& dbias) {
  return std::max(dw ? gemm::weight_gradient_scratch_bytes(geometry(d), d.out, d.in, type) : 0,
                  dbias ? gemm::column_sums_scratch_bytes(1, d.rows, d.out) : 0);
}

template <>
void matmul_backward_weights(CudaStream s, const MatmulDims& d, ConstAct x, ConstAct dy, Grad dw,
                             Grad dbias, void* scratch) {
  if (dw)
    gemm::weight_gradient(s, geometry(d),
                          {.rows = d.out,
                           .columns = d.in,
                           .small = dy,
                           .large = x,
                           .order = gemm::WeightOrder::outputs_first,
                           .dw = dw},
                          scratch);
  if (dbias)
    gemm::column_sums(s, {.groups = 1, .rows = d.rows, .columns = d.out, .x = dy, .all = dbias},
                      scratch);
}

}  // namespace haze::kernels
