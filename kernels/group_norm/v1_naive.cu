// SPDX-License-Identifier: MIT
// v1_naive.cu — CUDA, first version: one block per image and group, and the formula as loops over
// the group that 256 threads share: Σx, Σ(x-mean)², y; in backward the two sums per channel, dx.
// What it lacks: a group's values are c/groups neighbours in every row of c. With two channels a
// warp's 32 values lie in 16 rows, each in another sector of 32 bytes, of which it uses 8 (bf16:
// 4); and x is read three times, one element at a time. forward.cu and backward.cu take whole
// groups side by side, 16 bytes at a time, and keep what they have read.
#include "kernels/base/math.h"
#include "kernels/cuda/vec.h"
#include "kernels/group_norm/versions.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 256;

/// The values of this block's group: calls f(index, channel) for this thread's.
template <class F>
HAZE_DEVICE void each_of_group(const GroupNormDims& d, F&& f) {
  const int per_group = d.c / d.groups;
  const int n = int(blockIdx.x) / d.groups, first = int(blockIdx.x) % d.groups * per_group;
  for (int i = int(threadIdx.x); i < d.hw * per_group; i += kThreads) {
    const int channel = first + i % per_group;
    f((std::size_t(n) * d.hw + i / per_group) * d.c + channel, channel);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    forward_of_group(GroupNormDims d, const T* x, const float* gamma, const float* beta, T* y,
                     float* mean, float* rstd) {
  HAZE_SHARED(float[32], partial);
  const float size = float(d.hw) * float(d.c / d.groups);
  const float shift = float(x[(std::size_t(blockIdx.x) / d.groups * d.hw) * d.c +
                              std::size_t(blockIdx.x) % d.groups * (d.c / d.groups)]);
  float sum = 0, squares = 0;
  each_of_group(d, [&](std::size_t i, int) { sum += float(x[i]) - shift; });
  const float m = shift + block_sum(sum, partial) / size;
  each_of_group(d, [&](std::size_t i, int) {
    const float e = float(x[i]) - m;
    squares = std::fma(e, e, squares);
  });
  const float r = 1.0f / std::sqrt(block_sum(squares, partial) / size + d.eps);
  each_of_group(d, [&](std::size_t i, int c) {
    const float z = std::fma(float(x[i]) - m, gamma[c] * r, beta[c]);
    y[i] = d.swish ? z * sigmoid_f32(z) : z;
  });
  if (threadIdx.x > 0) return;
  mean[blockIdx.x] = m;
  rstd[blockIdx.x] = r;
}

/// d(loss)/dz and the normalised x of one value.
struct Value {
  float dz, normalised;
};
template <class T>
HAZE_DEVICE Value value(const GroupNormDims& d, float dy, T x, float gamma, float beta, float mean,
                        float rstd) {
  const float n = (float(x) - mean) * rstd;
  if (!d.swish) return {dy, n};
  const float z = std::fma(gamma, n, beta), s = sigmoid_f32(z);
  return {dy * s * std::fma(z, 1.0f - s, 1.0f), n};
}

/// sums[n, 2, c]: Σdz and Σ dz·(normalised x) of every channel, for dbeta and dgamma.
template <class T>
__global__ void __launch_bounds__(kThreads)
    backward_of_group(GroupNormDims d, const T* dy, const T* x, const float* gamma,
                      const float* beta, const float* mean, const float* rstd, T* dx, bool adds,
                      float* sums) {
  HAZE_SHARED(float[32], partial);
  const int per_group = d.c / d.groups;
  const int n = int(blockIdx.x) / d.groups, first = int(blockIdx.x) % d.groups * per_group;
  const float size = float(d.hw) * float(per_group), m = mean[blockIdx.x], r = rstd[blockIdx.x];
  float a = 0, b = 0;
  for (int c = first; c < first + per_group; ++c) {
    float sum = 0, product = 0;
    for (int p = int(threadIdx.x); p < d.hw; p += kThreads) {
      const std::size_t i = (std::size_t(n) * d.hw + p) * d.c + c;
      const Value v = value(d, float(dy[i]), x[i], gamma[c], beta[c], m, r);
      sum += v.dz;
      product = std::fma(v.dz, v.normalised, product);
    }
    sum = block_sum(sum, partial);
    product = block_sum(product, partial);
    a = std::fma(gamma[c], sum, a);
    b = std::fma(gamma[c], product, b);
    if (threadIdx.x > 0) continue;
    sums[(std::size_t(n) * 2) * d.c + c] = sum;
    sums[(std::size_t(n) * 2 + 1) * d.c + c] = product;
  }
  if (!dx) return;
  each_of_group(d, [&](std::size_t i, int c) {
    const Value v = value(d, float(dy[i]), x[i], gamma[c], beta[c], m, r);
    const float g = r * (gamma[c] * v.dz - (a + v.normalised * b) / size);
    dx[i] = adds ? float(dx[i]) + g : g;
  });
}

/// to[c] = or += the images' sums, in order.
__global__ void __launch_bounds__(kThreads)
    add_images(GroupNormDims d, const float* sums, float* to, bool adds) {
  const int c = int(blockIdx.x) * kThreads + int(threadIdx.x);
  if (c >= d.c) return;
  double sum = adds ? double(to[c]) : 0.0;
  for (int n = 0; n < d.n; ++n) sum += double(sums[std::size_t(n) * 2 * d.c + c]);
  to[c] = float(sum);
}

}  // namespace

void group_norm_forward_v1(CudaStream s, const GroupNormDims& d, ConstAct x, const float* gamma,
                           const float* beta, Act y, float* mean, float* rstd) {
  dispatch(x.dtype, [&]<class T>(T) {
    HAZE_LAUNCH(forward_of_group<T>, s, unsigned(d.n) * unsigned(d.groups), kThreads, 0, d,
                x.as<T>(), gamma, beta, y.as<T>(), mean, rstd);
  });
}

void group_norm_backward_v1(CudaStream s, const GroupNormDims& d, ConstAct dy, ConstAct x,
                            const float* gamma, const float* beta, const float* mean,
                            const float* rstd, Grad dx, Grad dgamma, Grad dbeta, void* scratch) {
  float* const sums = static_cast<float*>(scratch);
  dispatch(x.dtype, [&]<class T>(T) {
    HAZE_LAUNCH(backward_of_group<T>, s, unsigned(d.n) * unsigned(d.groups), kThreads, 0, d,
                dy.as<T>(), x.as<T>(), gamma, beta, mean, rstd, dx ? dx.as<T>() : nullptr,
                dx.adds(), sums);
  });
  const unsigned blocks = unsigned(d.c + kThreads - 1) / kThreads;
  if (dbeta)
    HAZE_LAUNCH(add_images, s, blocks, kThreads, 0, d, sums, dbeta.as<float>(), dbeta.adds());
  if (dgamma)
    HAZE_LAUNCH(add_images, s, blocks, kThreads, 0, d, sums + d.c, dgamma.as<float>(),
                dgamma.adds());
}

}  // namespace haze::kernels
