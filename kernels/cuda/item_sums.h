// SPDX-License-Identifier: MIT
// item_sums.h — how losses are summed in CUDA kernels: a tile of kItemTile values of one item is a
// warp's work and leaves one double; these kernels add the tiles in an order that depends on n and
// on `elements` alone.
#pragma once
#include "kernels/base/item_tiles.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels {

constexpr int kSumThreads = 256, kSumWarps = kSumThreads / 32;

static __global__ void __launch_bounds__(kSumThreads)
    add_tiles(std::size_t tiles, unsigned tiles_per_item, TimeTable weight, const double* partial,
              double size, float* mean) {
  HAZE_SHARED(double[32], smem);
  double sum = 0;
  for (std::size_t i = threadIdx.x; i < tiles; i += kSumThreads)
    sum += weight.values ? double(weight.at(i / tiles_per_item, 1)) * partial[i] : partial[i];
  sum = block_sum(sum, smem);
  if (threadIdx.x == 0) *mean = float(sum / size);
}

/// A warp per item.
static __global__ void __launch_bounds__(kSumThreads)
    item_means(int n, unsigned tiles_per_item, const double* partial, int elements, float* means) {
  const unsigned item = blockIdx.x * kSumWarps + threadIdx.x / 32;
  if (item >= unsigned(n)) return;  // a whole warp
  const double* of_item = partial + std::size_t(item) * tiles_per_item;
  double sum = 0;
  for (unsigned k = threadIdx.x % 32; k < tiles_per_item; k += 32) sum += of_item[k];
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) means[item] = float(sum / elements);
}

/// mean[0] = weighted mean over all values of d, from its tiles' sums; unless null, means [n] = the
/// items' own, without weight.
inline void mean_of_tiles(CudaStream s, const ItemDims& d, const TimeTable& weight,
                          const double* partial, float* mean, float* means) {
  const std::size_t tiles = item_sums_bytes(d) / sizeof(double);
  const auto per_item = unsigned(tiles / std::size_t(d.n));
  HAZE_LAUNCH(add_tiles, s, 1, kSumThreads, 0, tiles, per_item, weight, partial, double(d.size()),
              mean);
  if (means)
    HAZE_LAUNCH(item_means, s, unsigned((d.n + kSumWarps - 1) / kSumWarps), kSumThreads, 0, d.n,
                per_item, partial, d.elements, means);
}

}  // namespace haze::kernels
