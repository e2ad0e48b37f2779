// SPDX-License-Identifier: MIT
// backward.cu — group normalisation, CUDA backend: the gradients.
//
//   maths      With e = x-mean and dz = d(loss)/dz (z and its sigmoid are computed again):
//              dbeta = Σdz and dgamma = Σ dz·e·rstd per channel; with a = Σ gamma·dbeta and
//              b = Σ gamma·dgamma over the channels of a group of D values,
//              dx = gamma·rstd·dz - rstd²·b/D·e - rstd·a/D.
//   launches   A slab of one chunk (tile.cuh): one, with x and dy in registers. Else two: sums of
//              each chunk; dx, for which every block adds up those of its groups. One more adds the
//              channels' sums over images and chunks, if dgamma or dbeta is wanted.
//   traffic    x and dy read once or twice, dx written once (and read if it is added to).
#include "kernels/cuda/runtime_api.h"
#include "kernels/group_norm/tile.cuh"

namespace haze::kernels {
namespace {

using namespace group_norm_cuda;

constexpr int kHeld = kBackwardHeld;  // 16 registers each for x and dy
constexpr int kTables = 5;
enum Table { mean_of, scale_of, beta_of, slope_of, constant_of };

struct BackwardArguments {
  SlabPlan p;
  bool swish, adds;
  const float *gamma, *beta, *mean, *rstd;
  float* sums;   // [n, chunks, 2, c]: Σdz and Σdz·e·rstd per channel; null: not wanted
  Pair* groups;  // [n, groups, entries]: gamma-weighted sums of these over the block's channels
};

HAZE_DEVICE std::size_t group_of(const SlabPlan& p, const SlabThread& b, int g) {
  return std::size_t(b.block.image) * p.groups + b.block.first_group + g;
}

/// Fills the tables of mean, gamma·rstd and beta.
HAZE_DEVICE void spread_statistics(const BackwardArguments& a, const SlabThread& b, Shared shared) {
  each_group(a.p, b, [&](int g, int first) {
    const float mean = a.mean[group_of(a.p, b, g)], rstd = a.rstd[group_of(a.p, b, g)];
#pragma unroll 1
    for (int c = int(threadIdx.x) % 32; c < b.block.span; c += 32) {
      shared.table(mean_of)[first + c] = mean;
      shared.table(scale_of)[first + c] = a.gamma[b.block.first_channel + first + c] * rstd;
      shared.table(beta_of)[first + c] = a.beta[b.block.first_channel + first + c];
    }
  });
}

/// d(loss)/dz from d(loss)/dy.
template <class T>
HAZE_DEVICE float through_swish(bool swish, float dy, float z) {
  if (!swish) return dy;
  const float s = sigmoid<T>(z);
  return dy * s * std::fma(z, 1.0f - s, 1.0f);
}

/// Calls f(group, its first channel, a, b) for the values of the block; keeps the channels' sums.
template <int N, class T, class F>
HAZE_DEVICE void block_gradients(const BackwardArguments& a, const SlabThread& b, Shared shared,
                                 const SlabTile<T, N, kHeld>& x, const SlabTile<T, N, kHeld>& dy,
                                 F&& f) {
  float *part = shared.table(kTables), *totals = part + 2 * a.p.rows * a.p.width;
  constexpr int M = N < 2 ? N : 2;
#pragma unroll
  for (int h = 0; h < N; h += M) {
    const auto mean = load<M>(shared.table(mean_of) + b.in_table() + h);
    const auto scale = load<M>(shared.table(scale_of) + b.in_table() + h);
    const auto beta = load<M>(shared.table(beta_of) + b.in_table() + h);
    Vec<float, M> sum{}, product{};
#pragma unroll
    for (int k = 0; k < kHeld; ++k)
      if (k < b.held)
#pragma unroll
        for (int i = 0; i < M; ++i) {
          const float e = x.get(k, h + i) - mean[i];
          const float dz =
              through_swish<T>(a.swish, dy.get(k, h + i), std::fma(e, scale[i], beta[i]));
          sum[i] += dz;
          product[i] = std::fma(dz, e, product[i]);
        }
    if (b.row < a.p.rows) {
      float* to = part + 2 * b.row * a.p.width + b.channel + h;
      store(to, sum);
      store(to + a.p.width, product);
    }
  }
  block_sums<2>(a.p, part, totals);
  each_group(a.p, b, [&](int g, int first) {
    const float rstd = a.rstd[group_of(a.p, b, g)];
    float* sums = a.sums + (std::size_t(b.block.image) * a.p.chunks + b.block.chunk) * 2 * a.p.c;
    float of_dz = 0, of_product = 0;
#pragma unroll 1
    for (int c = first + int(threadIdx.x) % 32; c < first + b.block.span; c += 32) {
      const float s = totals[c], t = totals[a.p.width + c] * rstd;
      const int channel = b.block.first_channel + c;
      if (a.sums) sums[channel] = s, sums[a.p.c + channel] = t;
      of_dz = std::fma(a.gamma[channel], s, of_dz);
      of_product = std::fma(a.gamma[channel], t, of_product);
    }
    f(g, first, warp_sum(of_dz), warp_sum(of_product));
  });
}

/// What dx adds to scale·dz, from a and b of the whole group.
HAZE_DEVICE void set_coefficients(const BackwardArguments& a, const SlabThread& b, Shared shared,
                                  int g, int first, float of_dz, float of_product) {
  const float rstd = a.rstd[group_of(a.p, b, g)];
  const float share = rstd / (float(a.p.hw) * float(a.p.per_group));
  const float slope = -rstd * share * of_product, constant = -share * of_dz;
#pragma unroll 1
  for (int c = int(threadIdx.x) % 32; c < b.block.span; c += 32) {
    shared.table(slope_of)[first + c] = slope;
    shared.table(constant_of)[first + c] = constant;
  }
}

template <int N, class T>
HAZE_DEVICE void write_gradient(const BackwardArguments& a, SlabThread b, Shared shared,
                                const SlabTile<T, N, kHeld>& x, SlabTile<T, N, kHeld>& dy, T* dx,
                                T* dx2) {
  constexpr int M = N < 2 ? N : 2;
  if (!joined(a.p, b, dx, dx2).first) b.held = 0;
#pragma unroll
  for (int h = 0; h < N; h += M) {
    const auto mean = load<M>(shared.table(mean_of) + b.in_table() + h);
    const auto scale = load<M>(shared.table(scale_of) + b.in_table() + h);
    const auto beta = load<M>(shared.table(beta_of) + b.in_table() + h);
    const auto slope = load<M>(shared.table(slope_of) + b.in_table() + h);
    const auto constant = load<M>(shared.table(constant_of) + b.in_table() + h);
#pragma unroll
    for (int k = 0; k < kHeld; ++k)
      if (k < b.held) {
        Vec<float, M> v;
#pragma unroll
        for (int i = 0; i < M; ++i) {
          const float e = x.get(k, h + i) - mean[i];
          const float dz =
              through_swish<T>(a.swish, dy.get(k, h + i), std::fma(e, scale[i], beta[i]));
          v[i] = std::fma(scale[i], dz, std::fma(slope[i], e, constant[i]));
        }
        if (a.adds) {
          const Vectors<T> to = joined(a.p, b, dx, dx2);
          const auto old = load<M>(to.first + k * to.step + h);
#pragma unroll
          for (int i = 0; i < M; ++i) v[i] += float(old[i]);
        }
#pragma unroll
        for (int i = 0; i < M; i += 2) dy.set(k, h + i, v[i], v[i + (M > 1)]);
      }
  }
  dy.store_to(b, joined(a.p, b, dx, dx2));
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2)
    whole_slabs_gradient(BackwardArguments a, const T* dy, const T* x, const T* x2, T* dx, T* dx2) {
  HAZE_DYNAMIC_SHARED(float, memory);
  const Shared shared{memory, a.p.width};
  HAZE_SHARED(SlabBlock, block);
  const SlabThread b = slab_thread<N>(a.p, block);
  SlabTile<T, N, kHeld> values, gradient;
  values.load_from(b, joined(a.p, b, x, x2));
  gradient.load_from(b, whole(a.p, b, dy));
  __syncthreads();
  spread_statistics(a, b, shared);
  __syncthreads();
  block_gradients<N>(a, b, shared, values, gradient,
                     [&](int g, int first, float of_dz, float of_product) {
                       set_coefficients(a, b, shared, g, first, of_dz, of_product);
                     });
  if (dx == nullptr && dx2 == nullptr) return;
  __syncthreads();
  write_gradient<N>(a, b.again(), shared, values, gradient, dx, dx2);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2)
    chunk_gradient_sums(BackwardArguments a, const T* dy, const T* x, const T* x2) {
  HAZE_DYNAMIC_SHARED(float, memory);
  const Shared shared{memory, a.p.width};
  HAZE_SHARED(SlabBlock, block);
  const SlabThread b = slab_thread<N>(a.p, block);
  SlabTile<T, N, kHeld> values, gradient;
  values.load_from(b, joined(a.p, b, x, x2));
  gradient.load_from(b, whole(a.p, b, dy));
  __syncthreads();
  spread_statistics(a, b, shared);
  __syncthreads();
  const int entry = int(blockIdx.y) % a.p.parts * a.p.chunks + b.block.chunk;
  block_gradients<N>(
      a, b, shared, values, gradient, [&](int g, int, float of_dz, float of_product) {
        if (threadIdx.x % 32 == 0)
          a.groups[group_of(a.p, b, g) * a.p.entries() + entry] = {{of_dz, of_product}};
      });
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2)
    apply_gradient_sums(BackwardArguments a, const T* dy, const T* x, const T* x2, T* dx, T* dx2) {
  HAZE_DYNAMIC_SHARED(float, memory);
  const Shared shared{memory, a.p.width};
  HAZE_SHARED(SlabBlock, block);
  const SlabThread b = slab_thread<N>(a.p, block);
  __syncthreads();
  spread_statistics(a, b, shared);
  each_group(a.p, b, [&](int g, int first) {
    const Pair* of_block = a.groups + group_of(a.p, b, g) * a.p.entries();
    double of_dz = 0, of_product = 0;
#pragma unroll 1
    for (int e = int(threadIdx.x) % 32; e < a.p.entries(); e += 32) {
      of_dz += double(of_block[e][0]);
      of_product += double(of_block[e][1]);
    }
    set_coefficients(a, b, shared, g, first, float(warp_sum(of_dz)), float(warp_sum(of_product)));
  });
  SlabTile<T, N, kHeld> values, gradient;
  values.load_from(b, joined(a.p, b, x, x2));
  gradient.load_from(b, whole(a.p, b, dy));
  __syncthreads();
  write_gradient<N>(a, b.again(), shared, values, gradient, dx, dx2);
}

/// dbeta and dgamma [c] from sums [rows, 2, c], rows in order of image and chunk: warp w adds the
/// rows w, w+32, ... of 32 channels, then one warp adds the warps.
__global__ void __launch_bounds__(1024)
    parameter_gradients(int rows, int c, const float* sums, float* dbeta, bool beta_adds,
                        float* dgamma, bool gamma_adds) {
  HAZE_SHARED(double[32][32], of_warp);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int output = int(blockIdx.x) * 32 + lane;  // of 2·c
  double sum = 0;
  if (output < 2 * c)
    for (int r = warp; r < rows; r += 32) sum += double(sums[std::size_t(r) * 2 * c + output]);
  of_warp[warp][lane] = sum;
  __syncthreads();
  if (warp > 0 || output >= 2 * c) return;
  for (int w = 1; w < 32; ++w) sum += of_warp[w][lane];
  const bool is_beta = output < c;
  float* to = is_beta ? dbeta : dgamma;
  if (!to) return;
  to += is_beta ? output : output - c;
  *to = float((is_beta ? beta_adds : gamma_adds) ? double(*to) + sum : sum);
}

std::size_t pairs_of(const GroupNormDims& d, const SlabPlan& p) {
  return std::size_t(d.n) * d.groups * p.entries();
}

}  // namespace

template <>
std::size_t group_norm_scratch_bytes(CudaStream, const GroupNormDims& d) {
  check(d);
  std::size_t most = 0;
  for (const DType type : {DType::f32, DType::bf16})
    choose(d, type, [&]<class T, int N>() {
      const SlabPlan p = plan_of(d, N, sizeof(T), kBackwardHeld);
      const std::size_t sums = std::size_t(d.n) * p.chunks * 2 * d.c * sizeof(float);
      const std::size_t forward = pairs_of(d, plan_of(d, N, sizeof(T), kForwardHeld));
      most = std::max({most, forward * sizeof(Moments), pairs_of(d, p) * sizeof(Pair) + sums});
    });
  return most;
}

template <>
void group_norm_backward(CudaStream s, const GroupNormDims& d, ConstAct dy, Joined<ConstAct> x,
                         const float* gamma, const float* beta, const float* mean,
                         const float* rstd, Joined<Grad> dx, Grad dgamma, Grad dbeta,
                         void* scratch) {
  check(d);
  check_joined(d.c, d.c2, x);
  check_joined(d.c, d.c2, dx);
  choose(d, dy.dtype, [&]<class T, int N>() {
    const T *first = x.first.as<T>(), *second = d.c2 > 0 ? x.second.as<T>() : nullptr;
    const SlabPlan p = plan_of(d, N, sizeof(T), kHeld);
    Pair* const groups = static_cast<Pair*>(scratch);
    float* const sums = reinterpret_cast<float*>(groups + pairs_of(d, p));
    const bool parameters = dgamma || dbeta;
    const bool adds = dx.first.adds() || dx.second.adds();
    for (const auto& [to, c] : {std::pair(dx.first, d.c - d.c2), std::pair(dx.second, d.c2)})
      if (to && adds && !to.adds())  // one mode for all threads: to zeros
        HAZE_CUDA_CHECK(
            cudaMemsetAsync(to.data, 0, std::size_t(d.n) * d.hw * c * sizeof(T), handle_of(s)));
    const BackwardArguments a{
        p, d.swish, adds, gamma, beta, mean, rstd, parameters ? sums : nullptr, groups};
    const dim3 grid = grid_of(p, d.n);
    const std::size_t all = Shared::bytes(p, kTables, 2), tables = Shared::bytes(p, kTables, 0);
    T* const out = dx.first ? dx.first.as<T>() : nullptr;
    T* const out2 = dx.second ? dx.second.as<T>() : nullptr;
    if (p.entries() == 1) {
      HAZE_LAUNCH((whole_slabs_gradient<T, N>), s, grid, p.threads, all, a, dy.as<T>(), first,
                  second, out, out2);
    } else {
      HAZE_LAUNCH((chunk_gradient_sums<T, N>), s, grid, p.threads, all, a, dy.as<T>(), first,
                  second);
      if (dx)
        HAZE_LAUNCH((apply_gradient_sums<T, N>), s, grid, p.threads, tables, a, dy.as<T>(), first,
                    second, out, out2);
    }
    if (parameters)
      HAZE_LAUNCH(parameter_gradients, s, unsigned(2 * d.c + 31) / 32, 1024, 0, d.n * p.chunks, d.c,
                  sums, dbeta ? dbeta.as<float>() : nullptr, dbeta.adds(),
                  dgamma ? dgamma.as<float>() : nullptr, dgamma.adds());
  });
}

}  // namespace haze::kernels
