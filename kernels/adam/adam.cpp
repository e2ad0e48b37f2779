// SPDX-License-Identifier: MIT
// adam.cpp — CPU backend. Bandwidth-bound: 28 bytes per weight, 36 with an EMA, 2 more for bf16.
#include "kernels/adam/adam.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {

template <bool kEma, bool kHalf>
void update(std::size_t n, const AdamStep& coefficients, const AdamBuffers& b, float clip_factor) {
  const AdamStep c = coefficients;
#pragma omp parallel for simd schedule(static)
  for (std::size_t i = 0; i < n; ++i) {
    const float g = b.g[i] * clip_factor;
    const float m = c.beta1 * b.m[i] + c.one_minus_beta1 * g;
    const float v = c.beta2 * b.v[i] + c.one_minus_beta2 * (g * g);
    const float denominator = std::sqrt(v) * c.inv_sqrt_bias2 + c.eps;
    const float w = b.w[i] - (c.decay * b.w[i] + c.step_size * m / denominator);
    b.m[i] = m;
    b.v[i] = v;
    b.w[i] = w;
    if constexpr (kEma) b.ema[i] += c.one_minus_decay * (w - b.ema[i]);
    if constexpr (kHalf) b.w_bf16[i] = w;
  }
}

}  // namespace

template <>
void global_norm(CpuStream, std::size_t n, const float* g, void* scratch, float* norm) {
  double* partial = static_cast<double*>(scratch);
  const std::size_t chunks = (n + kNormChunk - 1) / kNormChunk;
#pragma omp parallel for schedule(static)
  for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
    const std::size_t first = chunk * kNormChunk, last = std::min(n, first + kNormChunk);
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::size_t i = first; i < last; ++i) sum += double(g[i]) * double(g[i]);
    partial[chunk] = sum;
  }
  double total = 0;
  for (std::size_t chunk = 0; chunk < chunks; ++chunk) total += partial[chunk];
  *norm = float(std::sqrt(total));
}

template <>
void adam_step(CpuStream s, std::size_t n, const Late<AdamStep>& late, const AdamBuffers& b,
               void* scratch, float* result) {
  const AdamStep c = late.get();
  global_norm(s, n, b.g, scratch, result);
  const float norm = result[0];
  bool good = norm <= c.skip_above;  // false for a NaN
  for (int k = 0; k < b.parts; ++k) good &= std::isfinite(b.losses[k]);
  result[1] = good ? 1.0f : 0.0f;
  if (!good) return;
  const float wanted = c.clip > 0 ? c.clip / (norm + 1e-6f) : 1.0f;
  const float factor = std::min(wanted, 1.0f);
  if (b.ema && b.w_bf16) return update<true, true>(n, c, b, factor);
  if (b.ema) return update<true, false>(n, c, b, factor);
  if (b.w_bf16) return update<false, true>(n, c, b, factor);
  update<false, false>(n, c, b, factor);
}

}  // namespace haze::kernels
