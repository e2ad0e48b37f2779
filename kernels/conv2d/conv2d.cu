// conv2d.cu — CUDA backend: the three products of a convolution on the shared matrix product
// (kernels/common/gemm), docs/kernels/conv2d.md. The input is the large image, the output the small
// one.
#include <algorithm>

#include "kernels/common/gemm/gemm.h"
#include "kernels/conv2d/conv2d.h"

namespace haze::kernels {
namespace {

gemm::Geometry geometry(const Conv2dDims& d) {
  return {d.n, d.h, d.w, d.ho(), d.wo(), d.kh, d.kw, d.stride, d.pad_top, d.pad_left};
}

/// Per image where the sums per image are wanted.
int groups(const Conv2dDims& d, const Conv2dWeightGrads& g) { return g.per_channel ? d.n : 1; }

std::size_t sums_bytes(const Conv2dDims& d, const Conv2dWeightGrads& g) {
  if (!g.bias && !g.per_channel) return 0;
  const int n = groups(d, g);
  return gemm::column_sums_scratch_bytes(n, d.n / n * d.ho() * d.wo(), d.co);
}

}  // namespace

template <>
std::size_t conv2d_forward_scratch_bytes(CudaStream, const Conv2dDims&, DType,
                                         const Conv2dSummands&) {
  return 0;
}

template <>
void conv2d_forward(CudaStream s, const Conv2dDims& d, ConstAct x, ConstAct w,
                    const Conv2dSummands& summands, Act y, void*) {
  const auto& [bias, per_channel, residual] = summands;
  gemm::small_from_large(s, geometry(d),
                         {.channels = d.ci,
                          .outputs = d.co,
                          .x = x,
                          .w = w,
                          .order = gemm::WeightOrder::outputs_first,
                          .bias = bias,
                          .per_channel = per_channel,
                          .residual = residual,
                          .y = y});
}

template <>
std::size_t conv2d_backward_data_scratch_bytes(CudaStream, const Conv2dDims&, const Grad&) {
  return 0;
}

template <>
void conv2d_backward_data(CudaStream s, const Conv2dDims& d, ConstAct dy, ConstAct w, Grad dx,
                          void*) {
  HAZE_CHECK(dy.dtype == dx.dtype, "dy is ", name_of(dy.dtype), ", dx is ", name_of(dx.dtype));
  const Act y{dx.data, dx.dtype};
  gemm::large_from_small(s, geometry(d),
                         {.channels = d.co,
                          .outputs = d.ci,
                          .x = dy,
                          .w = w,
                          .order = gemm::WeightOrder::summed_first,
                          .residual = dx.adds() ? ConstAct(y) : ConstAct{},
                          .y = y});
}

template <>
std::size_t conv2d_backward_weights_scratch_bytes(CudaStream, const Conv2dDims& d, DType type,
                                                  const Conv2dWeightGrads& grads) {
  const std::size_t product =
      grads.w ? gemm::weight_gradient_scratch_bytes(geometry(d), d.co, d.ci, type) : 0;
  return std::max(product, sums_bytes(d, grads));  // one after the other
}

template <>
void conv2d_backward_weights(CudaStream s, const Conv2dDims& d, ConstAct x, ConstAct dy,
                             const Conv2dWeightGrads& grads, void* scratch) {
  if (grads.w)
    gemm::weight_gradient(s, geometry(d),
                          {.rows = d.co,
                           .columns = d.ci,
                           .small = dy,
                           .large = x,
                           .order = gemm::WeightOrder::outputs_first,
                           .dw = grads.w},
                          scratch);
  if (grads.bias || grads.per_channel) {
    const int n = groups(d, grads);
    gemm::column_sums(s,
                      {.groups = n,
                       .rows = d.n / n * d.ho() * d.wo(),
                       .columns = d.co,
                       .x = dy,
                       .per_group = grads.per_channel,
                       .all = grads.bias},
                      scratch);
  }
}

}  // namespace haze::kernels
