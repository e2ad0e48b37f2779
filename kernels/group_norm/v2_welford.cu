// SPDX-License-Identifier: MIT
// v2_welford.cu — forward: mean and variance in one pass over x, in vectors as wide as a group
// allows.
//
// What v1 lost: it reads x three times, for the mean, for the variance around it, and to normalise.
//
// The idea: a set of values is told by how many they are, their mean, and M2 = Σ(x - mean)². Two
// such sets A and B join into one (Chan, Golub and LeVeque, "Updating formulae and a pairwise
// algorithm for computing sample variances", 1979; Welford's of 1962 is B of one value):
//
//      n    = n_A + n_B                     δ = mean_B - mean_A
//      mean = mean_A + δ n_B / n            M2 = M2_A + M2_B + δ² n_A n_B / n
//
// Nothing is subtracted from a square, so no digits cancel, as they do in Σx² - n·mean². One
// formula serves at every level, and the pass over x is one:
//
//      a thread's vectors  ──►  32 lanes, by shuffles  ──►  8 warps, through shared memory
//
// Values are taken as differences from the group's first, so that the joined means stay small where
// x has a large offset.
//
// What it costs: a division per vector; one barrier where v1 has four. x is read twice.
//
// What is left to gain: a group of two channels is 8 bytes (bf16: 4) of every 32-byte sector, so
// each sector travels for four (bf16: eight) blocks; and x is read twice (v3_slab.cu).
#include "kernels/base/math.h"
#include "kernels/cuda/vec.h"
#include "kernels/group_norm/versions.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 256;

struct Moments {
  float count = 0, mean = 0, m2 = 0;
};
HAZE_DEVICE Moments join(const Moments& a, const Moments& b) {
  const float count = a.count + b.count;
  if (count == 0) return a;
  const float delta = b.mean - a.mean, share = b.count / count;
  return {count, a.mean + delta * share, a.m2 + b.m2 + delta * delta * a.count * share};
}

/// Of the whole block, the same bits in every thread: lanes are joined as a tree, warps in order.
HAZE_DEVICE Moments join_block(Moments m, Moments (&warps)[kThreads / 32]) {
  for (int lanes = 16; lanes > 0; lanes /= 2)
    m = join(m, {__shfl_xor_sync(0xffffffffu, m.count, lanes),
                 __shfl_xor_sync(0xffffffffu, m.mean, lanes),
                 __shfl_xor_sync(0xffffffffu, m.m2, lanes)});
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = m;
  __syncthreads();
  Moments all = warps[0];
#pragma unroll 1
  for (int i = 1; i < kThreads / 32; ++i) all = join(all, warps[i]);
  return all;
}

/// One block per image and group; N channels of a
/// pixel at a time, N divides the channels of a group.
template <int N, class T>
__global__ void __launch_bounds__(kThreads)
    welford(GroupNormDims d, const T* x, const float* gamma, const float* beta, T* y, float* mean,
            float* rstd) {
  HAZE_SHARED(Moments[kThreads / 32], warps);
  const int per_group = d.c / d.groups, vectors = per_group / N;
  const int n = int(blockIdx.x) / d.groups, first = int(blockIdx.x) % d.groups * per_group;
  // Calls f(index into x, channel) for this thread's vectors.
  const auto each_vector_of_group = [&](auto f) {
    for (int i = int(threadIdx.x); i < d.hw * vectors; i += kThreads) {
      const int channel = first + i % vectors * N;
      f((std::size_t(n) * d.hw + i / vectors) * d.c + channel, channel);
    }
  };
  const float shift = float(x[std::size_t(n) * d.hw * d.c + first]);
  Moments mine;
  each_vector_of_group([&](std::size_t at, int) {
    const Vec<T, N> v = load<N>(x + at);
    Moments few{N, 0, 0};
#pragma unroll
    for (int i = 0; i < N; ++i) few.mean += (float(v[i]) - shift) / N;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float e = float(v[i]) - shift - few.mean;
      few.m2 += e * e;
    }
    mine = join(mine, few);
  });
  const Moments all = join_block(mine, warps);
  const float m = shift + all.mean, r = 1.0f / std::sqrt(all.m2 / all.count + d.eps);
  each_vector_of_group([&](std::size_t at, int channel) {
    Vec<T, N> v = load<N>(x + at);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float z = std::fma(float(v[i]) - m, gamma[channel + i] * r, beta[channel + i]);
      v[i] = d.swish ? z * sigmoid_f32(z) : z;
    }
    store(y + at, v);
  });
  if (threadIdx.x > 0) return;
  mean[blockIdx.x] = m;
  rstd[blockIdx.x] = r;
}

}  // namespace

void group_norm_forward_v2(CudaStream s, const GroupNormDims& d, ConstAct x, const float* gamma,
                           const float* beta, Act y, float* mean, float* rstd) {
  dispatch(x.dtype, [&]<class T>(T) {
    // The widest vector that divides a group, up to 16 bytes, where x and y start at a multiple.
    const auto addresses = std::uintptr_t(x.data) | std::uintptr_t(y.data);
    const auto fits = [&](int n) {
      return d.c / d.groups % n == 0 && addresses % (n * sizeof(T)) == 0;
    };
    const auto run = [&]<int N>(std::integral_constant<int, N>) {
      HAZE_LAUNCH((welford<N, T>), s, unsigned(d.n) * unsigned(d.groups), kThreads, 0, d, x.as<T>(),
                  gamma, beta, y.as<T>(), mean, rstd);
    };
    if constexpr (sizeof(T) == 2)
      if (fits(8)) return run(std::integral_constant<int, 8>());
    if (fits(4)) return run(std::integral_constant<int, 4>());
    if (fits(2)) return run(std::integral_constant<int, 2>());
    run(std::integral_constant<int, 1>());
  });
}

}  // namespace haze::kernels
