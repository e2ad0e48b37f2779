// SPDX-License-Identifier: MIT
// conv2d.cu — CUDA backend: the three products of a convolution on the shared matrix product
// (kernels/cuda/gemm, docs/kernels/conv2d.md). The large image is the input, the small the output.
#include <algorithm>

#include "kernels/conv2d/conv2d.h"
#include "kernels/cuda/gemm/gemm.h"

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
void conv2d_forward(CudaStream s, const Conv2dDims& d, Joined<ConstAct> x, ConstAct w,
                    const Conv2dSummands& summands, Act y, void*) {
  const auto& [bias, per_channel, residual] = summands;
  check_joined(d.ci, d.ci2, x);
  gemm::small_from_large(s, geometry(d),
                         {.channels = d.ci,
                          .outputs = d.co,
                          .x = x.first,
                          .w = w,
                          .order = gemm::WeightOrder::outputs_first,
                          .bias = bias,
                          .per_channel = per_channel,
                          .residual = residual,
                          .y = y,
                          .channels2 = d.ci2,
                          .x2 = x.second});
}

template <>
std::size_t conv2d_backward_data_scratch_bytes(CudaStream, const Conv2dDims&, const Joined<Grad>&) {
  return 0;
}

template <>
void conv2d_backward_data(CudaStream s, const Conv2dDims& d, ConstAct dy, ConstAct w,
                          Joined<Grad> dx, void*) {
  check_joined(d.ci, d.ci2, dx);
  const auto act = [&](const Grad& to) {
    HAZE_CHECK(!to || dy.dtype == to.dtype, "dy is ", name_of(dy.dtype), ", dx is ",
               name_of(to.dtype));
    return Act{to.data, to.dtype};
  };
  const auto old = [&](const Grad& to) { return to.adds() ? ConstAct(act(to)) : ConstAct{}; };
  gemm::large_from_small(s, geometry(d),
                         {.channels = d.co,
                          .outputs = d.ci,
                          .x = dy,
                          .w = w,
                          .order = gemm::WeightOrder::summed_first,
                          .residual = old(dx.first),
                          .y = act(dx.first),
                          .outputs2 = d.ci2,
                          .residual2 = old(dx.second),
                          .y2 = act(dx.second)});
}

template <>
std::size_t conv2d_backward_weights_scratch_bytes(CudaStream, const Conv2dDims& d, DType type,
                                                  const Conv2dWeightGrads& grads) {
  const std::size_t product =
      grads.w ? gemm::weight_gradient_scratch_bytes(geometry(d), d.co, d.ci, type) : 0;
  return std::max(product, sums_bytes(d, grads));  // one after the other
}

template <>
void conv2d_backward_weights(CudaStream s, const Conv2dDims& d, Joined<ConstAct> x, ConstAct dy,
                             const Conv2dWeightGrads& grads, void* scratch) {
  check_joined(d.ci, d.ci2, x);
  if (grads.w)
    gemm::weight_gradient(s, geometry(d),
                          {.rows = d.co,
                           .columns = d.ci,
                           .small = dy,
                           .large = x.first,
                           .order = gemm::WeightOrder::outputs_first,
                           .dw = grads.w,
                           .columns2 = d.ci2,
                           .large2 = x.second},
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

template <>
bool conv2d_depends_on_threads(CudaStream, DType) {
  return false;
}

}  // namespace haze::kernels
