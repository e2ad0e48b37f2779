// SPDX-License-Identifier: MIT
// weights.cu — the gradient of a convolution's weights, as one matrix product:
//
//   dw [rows, taps·columns] = small [pixels, rows]ᵀ large [pixels, taps·columns]
//
// summed over all pixels of all images. The result is small and the sum is long, so the pixels are
// cut into splits (split-K), each a block's work: their number follows from the shape alone. The
// splits' sums go to scratch in f32, and a second kernel adds them in order: the same bits on every
// run and on every device.
//
// In memory both matrices have the pixel as row, so in both tiles the summed index is the row, and
// tensor cores get them through ldmatrix's transposing form.
#include <algorithm>

#include "kernels/cuda/gemm/block.cuh"
#include "kernels/cuda/gemm/stager.cuh"
#include "kernels/cuda/gemm/walk.cuh"
#include "kernels/cuda/rows.h"

namespace haze::kernels::gemm {
namespace {

template <class T>
struct WeightArguments {
  Im2colView view;
  const T *small, *large, *large2;
  int rows, splits, tiles;  // tiles: of pixels, in all splits together
  float* sums;              // [splits, rows, taps·columns]
};

template <class Math, bool vector>
__global__ void __launch_bounds__(Math::kThreads, Math::kBlocks - !vector)
    pixels_by_pixels(const __grid_constant__ WeightArguments<typename Math::T> a) {
  using T = typename Math::T;
  HAZE_DYNAMIC_SHARED(float, shared);
  const int m0 = int(blockIdx.x) * Math::kM, n0 = int(blockIdx.y) * Math::kN;
  const int split = int(blockIdx.z);
  const auto first = [&](int i) { return int(std::int64_t(a.tiles) * i / a.splits); };
  const int count = first(split + 1) - first(split);
  if constexpr (vector) {
    product<Math>(Pixels<Math>(a.view, a.small, a.large, a.large2, a.rows, m0, n0, first(split),
                               int(threadIdx.x)),
                  count, shared);
  } else {
    using Small = TransposedMatrix<T>;
    using Large = Im2colTransposed<T>;
    using Walk = Staged<Math, false, false, false, true, Small, Large>;
    product<Math>(Walk(Small{a.small, a.view.pixels(), a.rows}, Large{a.view, a.large, a.large2},
                       m0, n0, first(split), int(threadIdx.x)),
                  count, shared);
  }
  const int columns = a.view.taps();
  each_result<Math>(shared, [&](int row, int column, float(&sums)[8]) {
    const int m = m0 + row, n = n0 + column;
    if (m >= a.rows) return;
    float* to = a.sums + (std::size_t(split) * a.rows + m) * columns + n;
    if (columns % 4 == 0) {
#pragma unroll
      for (int i = 0; i < 8; i += 4)
        if (n + i < columns)
          store(to + i, Vec<float, 4>{sums[i], sums[i + 1], sums[i + 2], sums[i + 3]});
    } else {
#pragma unroll
      for (int e = 0; e < 8; ++e)
        if (n + e < columns) to[e] = sums[e];
    }
  });
}

constexpr int kAddThreads = 256;

/// dw (+)= Σ of the splits. Element i is (row, tap, column) of the sums; in dw it is that too, or
/// (column, tap, row).
template <class G>
__global__ void __launch_bounds__(kAddThreads)
    add_splits(int size, int splits, const float* sums, int rows, int taps, int columns,
               bool transposed, bool adds, G* dw) {
  const int i = int(blockIdx.x) * kAddThreads + int(threadIdx.x);
  if (i >= size) return;
  float sum = 0;
  for (int split = 0; split < splits; ++split) sum += sums[std::size_t(split) * size + i];
  int to = i;
  if (transposed) {
    const int row = i / (taps * columns), tap = i / columns % taps, column = i % columns;
    to = (column * taps + tap) * rows + row;
  }
  dw[to] = G(adds ? float(dw[to]) + sum : sum);
}

struct SplitPlan {
  bool large;
  int splits, tiles;
};

/// Enough blocks for the largest device in use, but splits of at least 256 pixels.
SplitPlan split_plan(const Geometry& g, int rows, int columns, DType type) {
  const int n = g.taps() * columns;
  const bool large = type == DType::bf16 && rows >= 128 && n >= 128;
  const int tile = large ? 128 : 64, deep = type == DType::bf16 ? 32 : 16;
  const std::int64_t blocks = std::int64_t((rows + tile - 1) / tile) * ((n + tile - 1) / tile);
  const int tiles = (g.small_pixels() + deep - 1) / deep;
  const int most = std::max(1, tiles * deep / 256);
  const auto wanted = (2 * kFullDevice * (large ? 1 : 2) + blocks - 1) / blocks;
  return {large, int(std::min<std::int64_t>(most, wanted)), tiles};
}

template <class Math, bool vector>
void launch(CudaStream s, WeightArguments<typename Math::T> a) {
  const int n = a.view.taps();
  a.view.prepare(sizeof(typename Math::T));
  a.view.prepare_carry(Math::kK);
  HAZE_LAUNCH((pixels_by_pixels<Math, vector>), s,
              dim3(unsigned(a.rows + Math::kM - 1) / Math::kM,
                   unsigned(n + Math::kN - 1) / Math::kN, unsigned(a.splits)),
              Math::kThreads, shared_bytes<Math>(), a);
}

}  // namespace

std::size_t weight_gradient_scratch_bytes(const Geometry& g, int rows, int columns, DType type) {
  return sizeof(float) * split_plan(g, rows, columns, type).splits * rows * g.taps() * columns;
}

void weight_gradient(CudaStream s, const Geometry& g, const WeightProduct& p, void* scratch) {
  check(g, p.columns, p.rows);
  const SplitPlan how = split_plan(g, p.rows, p.columns, p.small.dtype);
  float* const sums = static_cast<float*>(scratch);
  dispatch(p.small.dtype, [&]<class T>(T) {
    constexpr int V = int(16 / sizeof(T));
    const WeightArguments<T> a{small_by_large(g, p.columns, p.columns2),
                               p.small.as<T>(),
                               p.large.as<T>(),
                               p.large2 ? p.large2.as<T>() : nullptr,
                               p.rows,
                               how.splits,
                               how.tiles,
                               sums};
    const bool vector = p.rows % V == 0 && p.columns % V == 0 && p.columns2 % V == 0 &&
                        aligned16({p.small.data, p.large.data, p.large2.data});
    if constexpr (sizeof(T) == 2) {
      if (vector && how.large) return launch<Large<T>, true>(s, a);
    } else {
      if (vector && s.tf32) return launch<SmallTf32, true>(s, a);
    }
    vector ? launch<Small<T>, true>(s, a) : launch<Small<T>, false>(s, a);
  });
  const int size = p.rows * g.taps() * p.columns;
  dispatch(p.dw.dtype, [&]<class G>(G) {
    HAZE_LAUNCH(add_splits<G>, s, unsigned(size + kAddThreads - 1) / kAddThreads, kAddThreads, 0,
                size, how.splits, sums, p.rows, g.taps(), p.columns,
                p.order == WeightOrder::summed_first, p.dw.adds(), p.dw.as<G>());
  });
}

}  // namespace haze::kernels::gemm
