// mse.cpp — CPU backend: one pass, the target drawn per tile.
#include "kernels/mse/mse.h"

#include "kernels/common/noise_tiles.h"
#include "kernels/common/stream.h"

namespace haze::kernels {
namespace {

static_assert(kMseTile == kTile);

template <class T>
void mse(const ItemDims& d, const T* pred, const Noise& target, float factor, double* partial,
         T* dpred) {
  for_each_tile(d, [&](int item, int first, int count, std::int64_t tile) {
    float room[kTile], difference[kTile];
    const float* want = noise_of_tile(target, d, item, first, count, room);
    const std::size_t at = std::size_t(item) * d.elements + std::size_t(first);
    double sum = 0;
#pragma omp simd
    for (int i = 0; i < count; ++i) difference[i] = float(pred[at + i]) - want[i];
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; ++i) sum += double(difference[i]) * double(difference[i]);
    partial[tile] = sum;
    if (!dpred) return;
#pragma omp simd
    for (int i = 0; i < count; ++i) dpred[at + i] = factor * difference[i];
  });
}

}  // namespace

template <>
void mse(CpuStream, const ItemDims& d, ConstAct pred, const Noise& target, float scale,
         void* scratch, float* loss, Act dpred) {
  double* partial = static_cast<double*>(scratch);
  const auto factor = float(2.0 * scale / double(d.size()));
  dispatch(pred.dtype, [&]<class T>(T) {
    mse(d, pred.as<T>(), resolved(target), factor, partial, dpred ? dpred.as<T>() : nullptr);
  });
  double sum = 0;
  for (std::size_t i = 0; i < mse_scratch_bytes(d) / sizeof(double); ++i) sum += partial[i];
  *loss = float(sum / double(d.size()));
}

}  // namespace haze::kernels
