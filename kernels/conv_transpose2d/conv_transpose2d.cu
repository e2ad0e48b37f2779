// SPDX-License-Identifier: MIT
// conv_transpose2d.cu — CUDA backend: the 4x4 stride-2 convolution from the doubled image (co
// channels) to the small one (ci), run backward, on the shared matrix product
// (kernels/cuda/gemm). Forward is four 2x2 convolutions, one for each parity of row
// and column of the output.
#include <algorithm>

#include "kernels/conv_transpose2d/conv_transpose2d.h"
#include "kernels/cuda/gemm/gemm.h"

namespace haze::kernels {
namespace {

gemm::Geometry geometry(const ConvTranspose2dDims& d) {
  return {d.n, 2 * d.h, 2 * d.w, d.h, d.w, 4, 4, 2, 1, 1};
}

}  // namespace

template <>
std::size_t conv_transpose2d_forward_scratch_bytes(CudaStream, const ConvTranspose2dDims&, DType) {
  return 0;
}

template <>
void conv_transpose2d_forward(CudaStream s, const ConvTranspose2dDims& d, ConstAct x, ConstAct w,
                              const float* bias, Act y, void*) {
  gemm::large_from_small(s, geometry(d),
                         {.channels = d.ci,
                          .outputs = d.co,
                          .x = x,
                          .w = w,
                          .order = gemm::WeightOrder::outputs_first,
                          .bias = bias,
                          .y = y});
}

template <>
std::size_t conv_transpose2d_backward_data_scratch_bytes(CudaStream, const ConvTranspose2dDims&,
                                                         const Grad&) {
  return 0;
}

template <>
void conv_transpose2d_backward_data(CudaStream s, const ConvTranspose2dDims& d, ConstAct dy,
                                    ConstAct w, Grad dx, void*) {
  HAZE_CHECK(dy.dtype == dx.dtype, "dy is ", name_of(dy.dtype), ", dx is ", name_of(dx.dtype));
  const Act y{dx.data, dx.dtype};
  gemm::small_from_large(s, geometry(d),
                         {.channels = d.co,
                          .outputs = d.ci,
                          .x = dy,
                          .w = w,
                          .order = gemm::WeightOrder::summed_first,
                          .residual = dx.adds() ? ConstAct(y) : ConstAct{},
                          .y = y});
}

template <>
std::size_t conv_transpose2d_backward_weights_scratch_bytes(CudaStream,
                                                            const ConvTranspose2dDims& d,
                                                            DType type, const Grad& dw,
                                                            const Grad& dbias) {
  return std::max(dw ? gemm::weight_gradient_scratch_bytes(geometry(d), d.ci, d.co, type) : 0,
                  dbias ? gemm::column_sums_scratch_bytes(1, d.n * 4 * d.h * d.w, d.co) : 0);
}

template <>
void conv_transpose2d_backward_weights(CudaStream s, const ConvTranspose2dDims& d, ConstAct x,
                                       ConstAct dy, Grad dw, Grad dbias, void* scratch) {
  if (dw)
    gemm::weight_gradient(s, geometry(d),
                          {.rows = d.ci,
                           .columns = d.co,
                           .small = x,
                           .large = dy,
                           .order = gemm::WeightOrder::summed_first,
                           .dw = dw},
                          scratch);
  if (dbias)
    gemm::column_sums(
        s, {.groups = 1, .rows = d.n * 4 * d.h * d.w, .columns = d.co, .x = dy, .all = dbias},
        scratch);
}

}  // namespace haze::kernels
