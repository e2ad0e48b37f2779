// SPDX-License-Identifier: MIT
// mse.cpp — CPU backend: one pass, the noise drawn per tile.
#include "kernels/mse/mse.h"

#include "kernels/base/stream.h"
#include "kernels/cpu/item_sums.h"
#include "kernels/cpu/prediction_tiles.h"

namespace haze::kernels {
namespace {

static_assert(kItemTile == kTile);

/// The target's values of one tile: where the noise lies, or in `scratch` [kTile].
const float* target_of_tile(const MseTarget& target, const ItemDims& d, int item, int first,
                            int count, float* scratch) {
  const float a = TimeTable{target.from_noise, target.t, target.steps}.at(std::size_t(item), 1);
  const float b = TimeTable{target.from_x0, target.t, target.steps}.at(std::size_t(item), 0);
  std::fill_n(scratch, a == 0 ? count : 0, 0.f);
  const float* eps = a == 0 ? scratch : noise_of_tile(target.noise, d, item, first, count, scratch);
  if (a == 1 && b == 0) return eps;
#pragma omp simd
  for (int i = 0; i < count; ++i) scratch[i] = a * eps[i];
  if (b == 0) return scratch;
  const float* x0 = target.x0 + std::size_t(item) * d.elements + first;
#pragma omp simd
  for (int i = 0; i < count; ++i) scratch[i] += b * x0[i];
  return scratch;
}

template <class T>
void mse(const PredictionDims& d, const T* pred, const MseTarget& target, float factor,
         double* partial, T* dpred) {
  const ItemDims items = d.items();
  for_each_tile(items, [&](int item, int first, int count, std::int64_t tile) {
    float scratch[kTile], difference[kTile];
    const float* want = target_of_tile(target, items, item, first, count, scratch);
    const T* p = pred + std::size_t(item) * d.outputs();
    each_output(d, first, count, [&](int i, int at) { difference[i] = float(p[at]) - want[i]; });
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; ++i) sum += double(difference[i]) * double(difference[i]);
    partial[tile] = sum;
    if (!dpred) return;
    T* to = dpred + std::size_t(item) * d.outputs();
    const float f =
        factor * TimeTable{target.weight, target.t, target.steps}.at(std::size_t(item), 1);
    each_output(d, first, count, [&](int i, int at) { to[at] = f * difference[i]; });
  });
}

void check(const PredictionDims& d, const MseTarget& target) {
  HAZE_CHECK(!target.from_x0 || target.x0, "a target with x0 needs x0");
  if (!target.from_noise && !target.from_x0 && !target.weight) return;
  HAZE_CHECK(target.t, "tables need t");
  check_times(d.n, target.t, target.steps);
}

}  // namespace

template <>
void mse(CpuStream, const PredictionDims& d, ConstAct pred, const MseTarget& given, float scale,
         void* scratch, float* loss, Act dpred, float* item_loss) {
  check(d, given);
  MseTarget target = given;
  target.noise = resolved(given.noise);
  double* partial = static_cast<double*>(scratch);
  dispatch(pred.dtype, [&]<class T>(T) {
    mse(d, pred.as<T>(), target, float(2.0 * scale / double(d.items().size())), partial,
        dpred ? dpred.as<T>() : nullptr);
  });
  mean_of_tiles(d.items(), {target.weight, target.t, target.steps}, partial, loss, item_loss);
}

}  // namespace haze::kernels
