// SPDX-License-Identifier: MIT
// mse.cu — CUDA version. Two launches: one pass that draws the target, writes the gradient and sums
// tiles, and one block that adds the tiles (a third adds them by item, where that is wanted). A
// tile is a warp's work, 256 elements of one item, so its sum needs no shared memory; the bits
// depend on n and elements alone.
#include "kernels/cuda/item_sums.h"
#include "kernels/cuda/prediction_quads.h"
#include "kernels/mse/mse.h"

namespace haze::kernels {
namespace {

template <class T, bool kWhole, bool kVariances>
__global__ void __launch_bounds__(kSumThreads)
    sum_tiles(PredictionDims d, unsigned tiles_per_item, const T* pred, MseTarget target,
              float factor, double* partial, T* dpred) {
  const std::size_t tile = std::size_t(blockIdx.x) * kSumWarps + threadIdx.x / 32;
  const std::size_t n = tile / tiles_per_item;
  if (n >= std::size_t(d.n)) return;  // a whole warp
  const Noise noise = resolved(target.noise);
  const ItemDims items = d.items();
  const float a = TimeTable{target.from_noise, target.t, target.steps}.at(n, 1);
  const float b = TimeTable{target.from_x0, target.t, target.steps}.at(n, 0);
  factor *= TimeTable{target.weight, target.t, target.steps}.at(n, 1);
  static_assert(kItemTile == 2 * 32 * kNormals);
  double sum = 0;
#pragma unroll
  for (unsigned half = 0; half < 2; ++half) {
    const unsigned lane = threadIdx.x % 32 + half * 32;
    const unsigned block = unsigned(tile - n * tiles_per_item) * (kItemTile / kNormals) + lane;
    const int first = int(block) * kNormals, count = items.elements - first;
    if (count <= 0) break;
    const std::size_t at = n * items.elements + first;
    float want[kNormals] = {}, v[kNormals];
    if (a != 0) normals_of<kWhole>(noise, items, n, block, want);
    if (b != 0) {
      read<kNormals, kWhole>(target.x0 + at, count, v);
#pragma unroll
      for (int k = 0; k < kNormals; ++k) want[k] = a * want[k] + b * v[k];
    } else if (a != 1) {
#pragma unroll
      for (int k = 0; k < kNormals; ++k) want[k] *= a;
    }
    if constexpr (kVariances)
      read_at(pred + n * d.outputs(), outputs_of(d, first), count, v);
    else
      read<kNormals, kWhole>(pred + at, count, v);
#pragma unroll
    for (int k = 0; k < kNormals; ++k) {
      const float difference = v[k] - want[k];
      if (k < count) sum += double(difference) * double(difference);
      v[k] = factor * difference;
    }
    if (!dpred) continue;
    if constexpr (kVariances)
      write_at(dpred + n * d.outputs(), outputs_of(d, first), count, v);
    else
      write<kNormals, kWhole>(dpred + at, count, v);
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) partial[tile] = sum;
}

}  // namespace

template <>
void mse(CudaStream s, const PredictionDims& d, ConstAct pred, const MseTarget& target, float scale,
         void* scratch, float* loss, Act dpred, float* item_loss) {
  HAZE_CHECK(!target.from_x0 || target.x0, "a target with x0 needs x0");
  HAZE_CHECK(target.t || (!target.from_noise && !target.from_x0 && !target.weight),
             "tables need t");
  double* partial = static_cast<double*>(scratch);
  const auto factor = float(2.0 * scale / double(d.items().size()));
  const std::size_t tiles = mse_scratch_bytes(d.items()) / sizeof(double);
  const auto per_item = unsigned(tiles / std::size_t(d.n));
  dispatch(pred.dtype, [&]<class T>(T) {
    const auto launch = [&]<bool kWhole, bool kVariances>() {
      HAZE_LAUNCH((sum_tiles<T, kWhole, kVariances>), s,
                  unsigned((tiles + kSumWarps - 1) / kSumWarps), kSumThreads, 0, d, per_item,
                  pred.as<T>(), target, factor, partial, dpred ? dpred.as<T>() : nullptr);
    };
    whole_vecs<kNormals>(d.elements(), {pred.data, target.noise.given, target.x0, dpred.data},
                         [&]<bool kWhole>() {
                           if (d.variances) return launch.template operator()<kWhole, true>();
                           launch.template operator()<kWhole, false>();
                         });
  });
  mean_of_tiles(s, d.items(), {target.weight, target.t, target.steps}, partial, loss, item_loss);
}

}  // namespace haze::kernels
