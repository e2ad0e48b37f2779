// SPDX-License-Identifier: MIT
// variational_bound.cpp — CPU backend: one pass over tiles. The exponentials of t > 0 vectorise;
// t = 0, one item in T, is computed in double.
#include "kernels/variational_bound/variational_bound.h"

#include "kernels/base/stream.h"
#include "kernels/cpu/item_sums.h"
#include "kernels/cpu/prediction_tiles.h"
#include "kernels/variational_bound/term.h"

namespace haze::kernels {
namespace {

template <class T>
void bound(const PredictionDims& d, const T* out, const BoundInputs& in, float factor,
           double* partial, T* dout) {
  const ItemDims items = d.items();
  for_each_tile(items, [&](int item, int first, int count, std::int64_t tile) {
    const std::size_t from = std::size_t(item) * items.elements + std::size_t(first);
    const float* x0 = in.x0 + from;
    const T* x_t = in.x_t.as<T>() + from;
    const T* outputs = out + std::size_t(item) * d.outputs();
    const int t = in.t[item];
    const BoundStep c = in.table[t];
    float prediction[kTile], v[kTile] = {}, value[kTile], slope[kTile];
    each_output(d, first, count, [&](int i, int at) { prediction[i] = float(outputs[at]); });
    if (d.variances)
      each_output(d, first, count, [&](int i, int at) { v[i] = float(outputs[at + d.channels]); });
    const auto term = [&](int i, bool likelihood) {
      const BoundTerm b = bound_term(c, in.range, likelihood, x0[i], float(x_t[i]), prediction[i],
                                     v[i], d.variances);
      value[i] = b.value;
      slope[i] = b.by_log_variance;
    };
    if (t == 0)
      for (int i = 0; i < count; ++i) term(i, true);
    else
#pragma omp simd
      for (int i = 0; i < count; ++i) term(i, false);
    double sum = 0;
    for (int i = 0; i < count; ++i) sum += double(value[i]);
    partial[tile] = sum;
    if (!dout) return;
    const float f = factor * (c.log_variance_max - c.log_variance_min) / 2 *
                    TimeTable{in.weight, in.t, in.steps}.at(std::size_t(item), 1);
    T* to = dout + std::size_t(item) * d.outputs() + d.channels;
    each_output(d, first, count, [&](int i, int at) { to[at] = f * slope[i]; });
  });
}

}  // namespace

template <>
void variational_bound(CpuStream, const PredictionDims& d, ConstAct out, const BoundInputs& in,
                       float scale, void* scratch, float* loss, Act dout, float* terms) {
  const TimeTable weight{in.weight, in.t, in.steps};
  check_times(d.n, in.t, in.steps);
  HAZE_CHECK(!dout || d.variances, "a gradient without variances");
  double* partial = static_cast<double*>(scratch);
  dispatch(out.dtype, [&]<class T>(T) {
    bound(d, out.as<T>(), in, float(scale / double(d.items().size())), partial,
          dout ? dout.as<T>() : nullptr);
  });
  mean_of_tiles(d.items(), weight, partial, loss, terms);
}

}  // namespace haze::kernels
