// SPDX-License-Identifier: MIT
// forward.cu — group normalisation, CUDA backend.
//
//   one launch    where a slab is one chunk (tile.cuh): statistics and y from the values held in
//                 registers. x is read once, y written once.
//   two launches  else. The first writes each chunk's moments of its groups; in the second every
//                 block joins those of its groups by Chan's formula, in double. x is read twice, y
//                 written once.
//   variance      Within a chunk in two passes over registers: the mean c, as closely as f32 sums
//                 give it; then S = Σ(x-c) and Q = Σ(x-c)², whence mean = c + S/P and
//                 M2 = Q - S²/P. S is small, so that neither a large offset nor an outlier costs
//                 digits. Over chunks Σ(x-m)² = Σ of M2 + P·(mean-m)² (Chan et al., 1979).
#include "kernels/group_norm/tile.cuh"

namespace haze::kernels {
namespace {

using namespace group_norm_cuda;

constexpr int kHeld = kForwardHeld;  // 32 registers
constexpr int kTables = 3;
enum Table { mean_of, scale_of, beta_of };

struct ForwardArguments {
  SlabPlan p;
  float eps;
  bool swish;
  const float *gamma, *beta;
  float *mean, *rstd;
  Moments* moments;  // [n, groups, entries]
};

/// Calls f(group, its first channel, c, mean - c, Σ(x-mean)²) for the values of the block, where c
/// is their mean up to rounding.
template <int N, class T, class F>
HAZE_DEVICE void block_moments(const SlabPlan& p, const SlabThread& b,
                               const SlabTile<T, N, kHeld>& tile, Shared shared, F&& f) {
  constexpr int M = N < 4 ? N : 4;
  float *centers = shared.table(mean_of), *part = shared.table(kTables);
  const int lane = int(threadIdx.x) % 32;
  const auto total = [&](const float* of_channel) {
    float sum = 0;
#pragma unroll 1
    for (int c = lane; c < b.block.span; c += 32) sum += of_channel[c];
    return warp_sum(sum);
  };

#pragma unroll
  for (int h = 0; h < N; h += M) {
    Vec<float, M> sum{};
#pragma unroll
    for (int k = 0; k < kHeld; ++k)
      if (k < b.held)
#pragma unroll
        for (int i = 0; i < M; ++i) sum[i] += tile.get(k, h + i);
    if (b.row < p.rows) store(part + b.row * p.width + b.channel + h, sum);
  }
  float* totals = part + p.rows * p.width;
  block_sums<1>(p, part, totals);
  each_group(p, b, [&](int, int first) {
    const float center = total(totals + first) / float(b.block.pixels * b.block.span);
#pragma unroll 1
    for (int c = lane; c < b.block.span; c += 32) centers[first + c] = center;
  });
  __syncthreads();

#pragma unroll
  for (int h = 0; h < N; h += M) {
    const auto center = load<M>(centers + b.in_table() + h);
    Vec<float, M> sum{}, squares{};
#pragma unroll
    for (int k = 0; k < kHeld; ++k)
      if (k < b.held)
#pragma unroll
        for (int i = 0; i < M; ++i) {
          const float e = tile.get(k, h + i) - center[i];
          sum[i] += e;
          squares[i] = std::fma(e, e, squares[i]);
        }
    if (b.row < p.rows) {
      float* to = part + 2 * b.row * p.width + b.channel + h;
      store(to, sum);
      store(to + p.width, squares);
    }
  }
  totals = part + 2 * p.rows * p.width;
  block_sums<2>(p, part, totals);
  each_group(p, b, [&](int g, int first) {
    const float sum = total(totals + first), squares = total(totals + p.width + first);
    const float difference = sum / float(b.block.pixels * b.block.span), center = centers[first];
    __syncwarp();  // all lanes have it: f may overwrite the table
    f(g, first, center, difference, squares - sum * difference);
  });
}

/// Keeps a group's statistics for the block, and for backward if this block is the one to do so.
HAZE_DEVICE void set_statistics(const ForwardArguments& a, const SlabThread& b, Shared shared,
                                int g, int first, float mean, float variance) {
  const int lane = int(threadIdx.x) % 32;
  const float r = 1.0f / std::sqrt(variance + a.eps);
#pragma unroll 1
  for (int c = lane; c < b.block.span; c += 32) {
    shared.table(mean_of)[first + c] = mean;
    shared.table(scale_of)[first + c] = a.gamma[b.block.first_channel + first + c] * r;
    shared.table(beta_of)[first + c] = a.beta[b.block.first_channel + first + c];
  }
  const int group = b.block.first_group + g;
  if (lane == 0 && b.block.chunk == 0 && b.block.first_channel <= group * a.p.per_group) {
    a.mean[std::size_t(b.block.image) * a.p.groups + group] = mean;
    a.rstd[std::size_t(b.block.image) * a.p.groups + group] = r;
  }
}

template <int N, class T>
HAZE_DEVICE void write_normalised(const SlabPlan& p, const SlabThread& b, Shared shared,
                                  SlabTile<T, N, kHeld>& tile, bool swish, T* y) {
  constexpr int M = N < 4 ? N : 4;
#pragma unroll
  for (int h = 0; h < N; h += M) {
    const auto mean = load<M>(shared.table(mean_of) + b.in_table() + h);
    const auto scale = load<M>(shared.table(scale_of) + b.in_table() + h);
    const auto beta = load<M>(shared.table(beta_of) + b.in_table() + h);
#pragma unroll
    for (int k = 0; k < kHeld; ++k)
      if (k < b.held) {
        Vec<float, M> z;
#pragma unroll
        for (int i = 0; i < M; ++i)
          z[i] = std::fma(tile.get(k, h + i) - mean[i], scale[i], beta[i]);
        if (swish)
#pragma unroll
          for (int i = 0; i < M; ++i) z[i] *= sigmoid<T>(z[i]);
#pragma unroll
        for (int i = 0; i < M; i += 2) tile.set(k, h + i, z[i], z[i + (M > 1)]);
      }
  }
  tile.store_to(b, whole(p, b, y));
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2)
    whole_slabs(ForwardArguments a, const T* x, const T* x2, T* y) {
  HAZE_DYNAMIC_SHARED(float, memory);
  HAZE_SHARED(SlabBlock, block);
  const Shared shared{memory, a.p.width};
  const SlabThread b = slab_thread<N>(a.p, block);
  SlabTile<T, N, kHeld> tile;
  tile.load_from(b, joined(a.p, b, x, x2));
  block_moments<N>(a.p, b, tile, shared,
                   [&](int g, int first, float center, float difference, float squares) {
                     const float size = float(b.block.pixels * b.block.span);
                     set_statistics(a, b, shared, g, first, center + difference, squares / size);
                   });
  __syncthreads();
  write_normalised<N>(a.p, b.again(), shared, tile, a.swish, y);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2)
    chunk_moments(ForwardArguments a, const T* x, const T* x2) {
  HAZE_DYNAMIC_SHARED(float, memory);
  HAZE_SHARED(SlabBlock, block);
  const SlabThread b = slab_thread<N>(a.p, block);
  SlabTile<T, N, kHeld> tile;
  tile.load_from(b, joined(a.p, b, x, x2));
  block_moments<N>(a.p, b, tile, Shared{memory, a.p.width},
                   [&](int g, int, float center, float difference, float squares) {
                     if (threadIdx.x % 32 != 0) return;
                     const std::size_t group =
                         std::size_t(b.block.image) * a.p.groups + b.block.first_group + g;
                     const int part = int(blockIdx.y) % a.p.parts;
                     a.moments[group * a.p.entries() + part * a.p.chunks + b.block.chunk] = {
                         double(center) + double(difference), double(squares)};
                   });
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2)
    apply_moments(ForwardArguments a, const T* x, const T* x2, T* y) {
  HAZE_DYNAMIC_SHARED(float, memory);
  HAZE_SHARED(SlabBlock, block);
  const Shared shared{memory, a.p.width};
  const SlabThread b = slab_thread<N>(a.p, block);
  __syncthreads();
  const int entries = a.p.entries();
  const double size = double(a.p.hw) * a.p.per_group;
  each_group(a.p, b, [&](int g, int first) {
    const std::size_t group = std::size_t(b.block.image) * a.p.groups + b.block.first_group + g;
    const Moments* moments = a.moments + group * entries;
    const int lane = int(threadIdx.x) % 32;
    double sum = 0, squares = 0;
#pragma unroll 1
    for (int e = lane; e < entries; e += 32) sum += a.p.count(e) * moments[e].mean;
    const double mean = warp_sum(sum) / size;
#pragma unroll 1
    for (int e = lane; e < entries; e += 32) {
      const double difference = moments[e].mean - mean;
      squares += moments[e].squares + a.p.count(e) * difference * difference;
    }
    squares = warp_sum(squares);
    set_statistics(a, b, shared, g, first, float(mean), float(squares / size));
  });
  SlabTile<T, N, kHeld> tile;  // read only now: during the merge other blocks keep memory busy
  tile.load_from(b, joined(a.p, b, x, x2));
  __syncthreads();
  write_normalised<N>(a.p, b.again(), shared, tile, a.swish, y);
}

}  // namespace

template <>
void group_norm_forward(CudaStream s, const GroupNormDims& d, Joined<ConstAct> x,
                        const float* gamma, const float* beta, Act y, float* mean, float* rstd,
                        void* scratch) {
  check(d);
  check_joined(d.c, d.c2, x);
  choose(d, y.dtype, [&]<class T, int N>() {
    const T *first = x.first.as<T>(), *second = d.c2 > 0 ? x.second.as<T>() : nullptr;
    const SlabPlan p = plan_of(d, N, sizeof(T), kHeld);
    const ForwardArguments a{p,    d.eps, d.swish, gamma,
                             beta, mean,  rstd,    static_cast<Moments*>(scratch)};
    const dim3 grid = grid_of(p, d.n);
    const std::size_t all = Shared::bytes(p, kTables, 2), tables = Shared::bytes(p, kTables, 0);
    if (p.entries() == 1) {
      HAZE_LAUNCH((whole_slabs<T, N>), s, grid, p.threads, all, a, first, second, y.as<T>());
      return;
    }
    HAZE_LAUNCH((chunk_moments<T, N>), s, grid, p.threads, all, a, first, second);
    HAZE_LAUNCH((apply_moments<T, N>), s, grid, p.threads, tables, a, first, second, y.as<T>());
  });
}

}  // namespace haze::kernels
