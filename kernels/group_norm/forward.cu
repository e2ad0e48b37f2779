// forward.cu — group normalisation, CUDA backend.
//
//   one launch    where a slab is one chunk (tile.cuh): statistics and y from the values held in
//                 registers. x is read once, y written once.
//   two launches  else. The first writes each chunk's moments of its groups; in the second every
//                 block joins those of its groups (a few hundred pairs, by Chan's formula in
//                 double) while its values are on their way. x is read twice, y written once.
//   variance      Within a chunk in two passes over registers: the mean, measured from the group's
//                 first value so that a large offset costs no digits, then Σ(x-mean)². Over chunks
//                 Σ(x-m)² = Σ of M2 + P·(mean-m)² (Chan, Golub and LeVeque, 1979).
#include "kernels/group_norm/tile.cuh"

namespace haze::kernels {
namespace {

using namespace group_norm_cuda;

constexpr int kHeld = kForwardHeld;  // 32 registers
constexpr int kTables = 5;
enum Table { shift_of, offset_of, mean_of, scale_of, beta_of };

struct Arguments {
  Plan p;
  float eps;
  bool swish;
  const float *gamma, *beta;
  float *mean, *rstd;
  Pair* moments;  // [n, groups, entries]: mean - shift, and Σ(x-mean)²
};

/// The value that group g's sums are measured from.
template <class T>
HAZE_DEVICE float shift(const Plan& p, const Place& b, const T* x, int g) {
  return float(
      x[std::size_t(b.block.image) * p.hw * p.c + (b.block.first_group + g) * p.per_group]);
}

/// Calls f(group, its first channel, shift, mean - shift, Σ(x-mean)²) for the values of the block.
template <int N, class T, class F>
HAZE_DEVICE void block_moments(const Plan& p, const Place& b, const Tile<T, N, kHeld>& tile,
                               const T* x, Shared shared, F&& f) {
  float *shifts = shared.table(shift_of), *offsets = shared.table(offset_of);
  float *part = shared.table(kTables), *totals = part + p.rows * p.width;
  const int lane = int(threadIdx.x) % 32;
  const auto total = [&](int first) {
    float sum = 0;
#pragma unroll 1
    for (int c = lane; c < b.block.span; c += 32) sum += totals[first + c];
    return warp_sum(sum);
  };
  each_group(p, b, [&](int g, int first) {
    const float s = shift(p, b, x, g);
#pragma unroll 1
    for (int c = lane; c < b.block.span; c += 32) shifts[first + c] = s;
  });
  __syncthreads();

  // Writes to `part` the sums over this thread's pixels of value(x - shift, mean - shift).
  const auto thread_sums = [&](auto value) {
    constexpr int M = N < 4 ? N : 4;
#pragma unroll
    for (int h = 0; h < N; h += M) {
      const auto s = load<M>(shifts + b.channel + h), o = load<M>(offsets + b.channel + h);
      Vec<float, M> sum{};
#pragma unroll
      for (int k = 0; k < kHeld; ++k)
        if (k < b.held)
#pragma unroll
          for (int i = 0; i < M; ++i) sum[i] = value(sum[i], tile.get(k, h + i) - s[i], o[i]);
      if (b.row < p.rows) store(part + b.row * p.width + b.channel + h, sum);
    }
  };

  thread_sums([](float sum, float e, float) { return sum + e; });
  block_sums<1>(p, part, totals);
  each_group(p, b, [&](int, int first) {
    const float offset = total(first) / float(b.block.pixels * b.block.span);
#pragma unroll 1
    for (int c = lane; c < b.block.span; c += 32) offsets[first + c] = offset;
  });
  __syncthreads();

  thread_sums([](float sum, float e, float o) { return std::fma(e - o, e - o, sum); });
  block_sums<1>(p, part, totals);
  each_group(p, b,
             [&](int g, int first) { f(g, first, shifts[first], offsets[first], total(first)); });
}

/// Keeps a group's statistics for the block, and for backward if this block is the one to do so.
HAZE_DEVICE void set_statistics(const Arguments& a, const Place& b, Shared shared, int g, int first,
                                float mean, float variance) {
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
HAZE_DEVICE void write_normalised(const Place& b, Shared shared, Tile<T, N, kHeld>& tile,
                                  bool swish, T* y) {
  constexpr int M = N < 4 ? N : 4;
#pragma unroll
  for (int h = 0; h < N; h += M) {
    const auto mean = load<M>(shared.table(mean_of) + b.channel + h);
    const auto scale = load<M>(shared.table(scale_of) + b.channel + h);
    const auto beta = load<M>(shared.table(beta_of) + b.channel + h);
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
  tile.store_to(b, y);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2) whole_slabs(Arguments a, const T* x, T* y) {
  HAZE_DYNAMIC_SHARED(float, memory);
  const Shared shared{memory, a.p.width};
  HAZE_SHARED(Block, block);
  const Place b = place<N>(a.p, block);
  Tile<T, N, kHeld> tile;
  tile.load_from(b, x);
  __syncthreads();
  const float size = float(b.block.pixels * b.block.span);
  block_moments<N>(a.p, b, tile, x, shared,
                   [&](int g, int first, float shift, float offset, float squares) {
                     set_statistics(a, b, shared, g, first, shift + offset, squares / size);
                   });
  __syncthreads();
  write_normalised<N>(b, shared, tile, a.swish, y);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2) chunk_moments(Arguments a, const T* x) {
  HAZE_DYNAMIC_SHARED(float, memory);
  HAZE_SHARED(Block, block);
  const Place b = place<N>(a.p, block);
  Tile<T, N, kHeld> tile;
  tile.load_from(b, x);
  __syncthreads();
  const int part = int(blockIdx.y) % a.p.parts;
  block_moments<N>(a.p, b, tile, x, Shared{memory, a.p.width},
                   [&](int g, int, float, float offset, float squares) {
                     const std::size_t group =
                         std::size_t(b.block.image) * a.p.groups + b.block.first_group + g;
                     if (threadIdx.x % 32 == 0)
                       a.moments[group * a.p.entries() + part * a.p.chunks + b.block.chunk] = {
                           {offset, squares}};
                   });
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2) apply_moments(Arguments a, const T* x, T* y) {
  HAZE_DYNAMIC_SHARED(float, memory);
  const Shared shared{memory, a.p.width};
  HAZE_SHARED(Block, block);
  const Place b = place<N>(a.p, block);
  __syncthreads();
  const int entries = a.p.entries();
  const double size = double(a.p.hw) * a.p.per_group;
  each_group(a.p, b, [&](int g, int first) {
    const std::size_t group = std::size_t(b.block.image) * a.p.groups + b.block.first_group + g;
    const Pair* moments = a.moments + group * entries;
    const int lane = int(threadIdx.x) % 32;
    double sum = 0, squares = 0;
#pragma unroll 1
    for (int e = lane; e < entries; e += 32) sum += double(a.p.count(e)) * double(moments[e][0]);
    const double offset = warp_sum(sum) / size;
#pragma unroll 1
    for (int e = lane; e < entries; e += 32) {
      const double apart = double(moments[e][0]) - offset;
      squares += double(moments[e][1]) + a.p.count(e) * apart * apart;
    }
    squares = warp_sum(squares);
    set_statistics(a, b, shared, g, first, float(shift(a.p, b, x, g) + offset),
                   float(squares / size));
  });
  Tile<T, N, kHeld> tile;
  tile.load_from(b, x);
  __syncthreads();
  write_normalised<N>(b, shared, tile, a.swish, y);
}

}  // namespace

template <>
void group_norm_forward(CudaStream s, const GroupNormDims& d, ConstAct x, const float* gamma,
                        const float* beta, Act y, float* mean, float* rstd, void* scratch) {
  check(d);
  choose(d, x.dtype, [&]<class T, int N>() {
    const Plan p = plan_of(d, N, sizeof(T), kHeld);
    const Arguments a{p, d.eps, d.swish, gamma, beta, mean, rstd, static_cast<Pair*>(scratch)};
    const dim3 grid = grid_of(p, d.n);
    const std::size_t all = Shared::bytes(p, kTables, 1), tables = Shared::bytes(p, kTables, 0);
    if (p.entries() == 1) {
      HAZE_LAUNCH((whole_slabs<T, N>), s, grid, p.threads, all, a, x.as<T>(), y.as<T>());
      return;
    }
    HAZE_LAUNCH((chunk_moments<T, N>), s, grid, p.threads, all, a, x.as<T>());
    HAZE_LAUNCH((apply_moments<T, N>), s, grid, p.threads, tables, a, x.as<T>(), y.as<T>());
  });
}

}  // namespace haze::kernels
