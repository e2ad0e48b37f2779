// SPDX-License-Identifier: MIT
// adam.h — contract of the optimiser on a network's flat buffers: the global norm of the gradient,
// and the update clipped to it, or left out where the step went wrong.
#pragma once
#include <cfloat>
#include <cstddef>

#include "kernels/base/dtype.h"
#include "kernels/base/late.h"

namespace haze::kernels {

/// Sums of squares are taken over chunks of this many elements and added in an order that n alone
/// fixes, whatever the number of threads or blocks.
constexpr std::size_t kNormChunk = std::size_t{1} << 16;
constexpr std::size_t global_norm_scratch_bytes(std::size_t n) {
  return (n + kNormChunk - 1) / kNormChunk * sizeof(double);
}

/// norm[0] = sqrt(sum of g[i]² over i < n), summed in double. Overwrites norm and scratch.
template <class S>
void global_norm(S stream, std::size_t n, const float* g, void* scratch, float* norm);

/// Coefficients of one update, each rounded once from double.
struct AdamStep {
  float beta1, one_minus_beta1, beta2, one_minus_beta2;
  float step_size;       // learning_rate / (1 - beta1^k), k = 1, 2, ...
  float inv_sqrt_bias2;  // 1 / sqrt(1 - beta2^k)
  float eps;
  float decay;            // learning_rate·weight_decay; 1 - decay would lose most of its digits
  float clip;             // largest norm; <= 0: no clipping
  float one_minus_decay;  // of the EMA
  float skip_above = FLT_MAX;  // the largest norm that is applied; a NaN is above everything
};

/// All [n] and distinct. ema and w_bf16 may be null.
struct AdamBuffers {
  float* w;
  const float* g;
  float *m, *v, *ema;
  bf16* w_bf16;
  const float* losses = nullptr;  // [parts]: of the step; each has to be finite
  int parts = 0;
};

/// One update (Kingma & Ba 2014, arXiv 1412.6980; decay as in Loshchilov & Hutter 2017,
/// 1711.05101):
///   norm = global_norm of g                g' = g·min(1, clip / (norm + 1e-6)) if clip > 0
///   m = beta1·m + (1-beta1)·g'             v = beta2·v + (1-beta2)·g'²
///   w = w - (decay·w + step_size·m / (sqrt(v)·inv_sqrt_bias2 + eps))
///   ema = ema + (1-decay)·(w - ema)        w_bf16 = w
/// if norm <= skip_above and every loss is finite. Otherwise the step is skipped: w, m, v, ema and
/// w_bf16 are not written. skip_above is at most FLT_MAX, so a gradient with a NaN or an infinity
/// changes nothing.
///   result[0] = norm                       result[1] = 1 if the update was made, 0 if skipped
/// Overwrites w, m, v, ema, w_bf16, result [2] and scratch (global_norm_scratch_bytes).
///
/// Norm and update are one call because the sum of the chunks needs every chunk: a backend of many
/// blocks then lets the update's blocks add them, without another launch or a counter between them.
template <class S>
void adam_step(S stream, std::size_t n, const Late<AdamStep>& c, const AdamBuffers& b,
               void* scratch, float* result);

}  // namespace haze::kernels
