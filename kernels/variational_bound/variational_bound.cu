// SPDX-License-Identifier: MIT
// variational_bound.cu — CUDA version. As mse: a tile of 256 values is a warp's work and leaves one
// double; its lanes take neighbouring values, eight times. The time is the same for a whole warp,
// so t = 0, in double and long, diverges from nothing.
#include <limits>

#include "kernels/cuda/item_sums.h"
#include "kernels/variational_bound/term.h"

namespace haze::kernels {
namespace {

template <class T>
__global__ void __launch_bounds__(kSumThreads)
    sum_terms(PredictionDims d, unsigned tiles_per_item, const T* out, const T* x_t, BoundInputs in,
              float factor, double* partial, T* dout) {
  const std::size_t tile = std::size_t(blockIdx.x) * kSumWarps + threadIdx.x / 32;
  const std::size_t n = tile / tiles_per_item;
  if (n >= std::size_t(d.n)) return;  // a whole warp
  const std::int32_t t = in.t[n];
  BoundStep c;
  if (unsigned(t) < unsigned(in.steps))
    c = in.table[t];
  else
    c.log_variance_min = c.log_variance_max = std::numeric_limits<float>::quiet_NaN();
  factor *=
      (c.log_variance_max - c.log_variance_min) / 2 * TimeTable{in.weight, in.t, in.steps}.at(n, 1);
  const int elements = d.elements();
  const T* outputs = out + n * d.outputs();
  int i = int(tile - n * tiles_per_item) * kItemTile + int(threadIdx.x % 32);
  double sum = 0;
#pragma unroll 1
  for (int k = 0; k < kItemTile / 32 && i < elements; ++k, i += 32) {
    const std::size_t from = n * elements + i;
    const int at = d.variances ? i + i / d.channels * d.channels : i;
    const float v = d.variances ? float(outputs[at + d.channels]) : 0.0f;
    const BoundTerm term = bound_term(c, in.range, t == 0, in.x0[from], float(x_t[from]),
                                      float(outputs[at]), v, d.variances);
    sum += double(term.value);
    if (dout) dout[n * d.outputs() + at + d.channels] = factor * term.by_log_variance;
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) partial[tile] = sum;
}

}  // namespace

template <>
void variational_bound(CudaStream s, const PredictionDims& d, ConstAct out, const BoundInputs& in,
                       float scale, void* scratch, float* loss, Act dout, float* terms) {
  HAZE_CHECK(!dout || d.variances, "a gradient without variances");
  double* partial = static_cast<double*>(scratch);
  const std::size_t tiles = item_sums_bytes(d.items()) / sizeof(double);
  dispatch(out.dtype, [&]<class T>(T) {
    HAZE_LAUNCH((sum_terms<T>), s, unsigned((tiles + kSumWarps - 1) / kSumWarps), kSumThreads, 0, d,
                unsigned(tiles / std::size_t(d.n)), out.as<T>(), in.x_t.as<T>(), in,
                float(scale / double(d.items().size())), partial, dout ? dout.as<T>() : nullptr);
  });
  mean_of_tiles(s, d.items(), {in.weight, in.t, in.steps}, partial, loss, terms);
}

}  // namespace haze::kernels
