// mse.cpp — CPU backend: one pass, the noise drawn per tile.
#include "kernels/mse/mse.h"

#include "kernels/common/prediction_tiles.h"
#include "kernels/common/stream.h"

namespace haze::kernels {
namespace {

static_assert(kMseTile == kTile);

/// A table's value at an item's time.
float at_time(const MseTarget& target, const float* table, int item, float otherwise) {
  return table ? table[target.t[item]] : otherwise;
}

/// The target's values of one tile: where the noise lies, or in `room` [kTile].
const float* target_of_tile(const MseTarget& target, const ItemDims& d, int item, int first,
                            int count, float* room) {
  const float a = at_time(target, target.from_noise, item, 1);
  const float b = at_time(target, target.from_x0, item, 0);
  std::fill_n(room, a == 0 ? count : 0, 0.f);
  const float* eps = a == 0 ? room : noise_of_tile(target.noise, d, item, first, count, room);
  if (a == 1 && b == 0) return eps;
#pragma omp simd
  for (int i = 0; i < count; ++i) room[i] = a * eps[i];
  if (b == 0) return room;
  const float* x0 = target.x0 + std::size_t(item) * d.elements + first;
#pragma omp simd
  for (int i = 0; i < count; ++i) room[i] += b * x0[i];
  return room;
}

template <class T>
void mse(const PredictionDims& d, const T* pred, const MseTarget& target, float factor,
         double* partial, T* dpred) {
  const ItemDims items = d.items();
  for_each_tile(items, [&](int item, int first, int count, std::int64_t tile) {
    float room[kTile], difference[kTile];
    const float* want = target_of_tile(target, items, item, first, count, room);
    const T* p = pred + std::size_t(item) * d.outputs();
    each_output(d, first, count, [&](int i, int at) { difference[i] = float(p[at]) - want[i]; });
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; ++i) sum += double(difference[i]) * double(difference[i]);
    partial[tile] = sum;
    if (!dpred) return;
    T* to = dpred + std::size_t(item) * d.outputs();
    const float f = factor * at_time(target, target.weight, item, 1);
    each_output(d, first, count, [&](int i, int at) { to[at] = f * difference[i]; });
  });
}

void check(const PredictionDims& d, const MseTarget& target) {
  HAZE_CHECK(!target.from_x0 || target.x0, "a target with x0 needs x0");
  if (!target.from_noise && !target.from_x0 && !target.weight) return;
  HAZE_CHECK(target.t, "tables need t");
  for (int n = 0; n < d.n; ++n)
    HAZE_CHECK(target.t[n] >= 0 && target.t[n] < target.steps, "t[", n, "] is ", target.t[n],
               ", must be in [0,", target.steps, ')');
}

}  // namespace

template <>
void mse(CpuStream, const PredictionDims& d, ConstAct pred, const MseTarget& given, float scale,
         void* scratch, float* loss, Act dpred, float* item_loss) {
  check(d, given);
  MseTarget target = given;
  target.noise = resolved(given.noise);
  double* partial = static_cast<double*>(scratch);
  const double size = double(d.items().size());
  dispatch(pred.dtype, [&]<class T>(T) {
    mse(d, pred.as<T>(), target, float(2.0 * scale / size), partial,
        dpred ? dpred.as<T>() : nullptr);
  });
  const int per_item = tiles_per_item(d.items());
  double sum = 0;
  for (int n = 0; n < d.n; ++n) {
    double of_item = 0;
    for (int k = 0; k < per_item; ++k) of_item += *partial++;
    if (item_loss) item_loss[n] = float(of_item / d.elements());
    sum += double(at_time(target, target.weight, n, 1)) * of_item;
  }
  *loss = float(sum / size);
}

}  // namespace haze::kernels
