// SPDX-License-Identifier: MIT
// v1_unfused.cu — Adam as it is written down: one kernel per line of the formula, each from device
// memory to device memory. That is how a framework without fusion runs it, tensor by tensor.
//
//      line                                         reads            writes    bytes a weight
//      norm = |g|                                   g                                 4
//      g'   = g·min(1, clip / (norm + 1e-6))        g                g'               8
//      m    = beta1·m + (1 - beta1)·g'              m g'             m               12
//      v    = beta2·v + (1 - beta2)·g'²             v g'             v               12
//      w    = w - (decay·w + step·m / (√v·s + eps)) w m v            w               16
//      ema  = ema + (1 - decay)·(w - ema)           ema w            ema             12
//      bf16 = w                                     w                bf16             6
//                                                                                    70
//
// No line computes for longer than its bytes take to travel, so bytes are time. Of the 70, the
// update must read g, w, m, v, ema and write w, m, v, ema, bf16 once each, after the norm has read
// g: 42.
//
// What is left to gain: the other 28 carry what the next line could have had in a register: g'
// (12), m, v and w once they are new (4 each, w twice). adam.cu computes all lines of a weight in
// one thread, four weights at a time, and needs no memory for g'.
#include "kernels/adam/versions.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 256;

// result: the norm, then whether the update is made (adam.h). The first kernel decides, the others
// read it.
__global__ void clip_gradient(std::size_t n, AdamStep c, int parts, const float* losses,
                              const float* g, float* clipped, float* result) {
  const std::size_t i = thread_of_grid();
  const float norm = result[0];
  if (i == 0) {
    bool good = norm <= c.skip_above;  // false for a NaN
    for (int k = 0; k < parts; ++k) good &= std::fabs(losses[k]) <= FLT_MAX;
    result[1] = good ? 1.0f : 0.0f;
  }
  if (i >= n) return;
  const float wanted = c.clip > 0 ? c.clip / (norm + 1e-6f) : 1.0f;
  clipped[i] = g[i] * (wanted > 1 ? 1.0f : wanted);
}

__global__ void first_moment(std::size_t n, AdamStep c, const float* result, const float* g,
                             float* m) {
  const std::size_t i = thread_of_grid();
  if (i < n && result[1] != 0) m[i] = c.beta1 * m[i] + c.one_minus_beta1 * g[i];
}

__global__ void second_moment(std::size_t n, AdamStep c, const float* result, const float* g,
                              float* v) {
  const std::size_t i = thread_of_grid();
  if (i < n && result[1] != 0) v[i] = c.beta2 * v[i] + c.one_minus_beta2 * (g[i] * g[i]);
}

__global__ void weights(std::size_t n, AdamStep c, const float* result, const float* m,
                        const float* v, float* w) {
  const std::size_t i = thread_of_grid();
  if (i >= n || result[1] == 0) return;
  const float denominator = std::sqrt(v[i]) * c.inv_sqrt_bias2 + c.eps;
  w[i] = w[i] - (c.decay * w[i] + c.step_size * m[i] / denominator);
}

__global__ void average(std::size_t n, AdamStep c, const float* result, const float* w,
                        float* ema) {
  const std::size_t i = thread_of_grid();
  if (i < n && result[1] != 0) ema[i] += c.one_minus_decay * (w[i] - ema[i]);
}

__global__ void round_weights(std::size_t n, const float* result, const float* w, bf16* half) {
  const std::size_t i = thread_of_grid();
  if (i < n && result[1] != 0) half[i] = w[i];
}

}  // namespace

void adam_step_v1(CudaStream s, std::size_t n, const AdamStep& c, const AdamBuffers& b,
                  void* scratch, float* result) {
  const unsigned blocks = unsigned((n + kThreads - 1) / kThreads);
  float* const clipped =
      static_cast<float*>(scratch) + adam_step_v1_scratch_bytes(n) / sizeof(float) - n;
  global_norm(s, n, b.g, scratch, result);
  HAZE_LAUNCH(clip_gradient, s, blocks, kThreads, 0, n, c, b.parts, b.losses, b.g, clipped, result);
  HAZE_LAUNCH(first_moment, s, blocks, kThreads, 0, n, c, result, clipped, b.m);
  HAZE_LAUNCH(second_moment, s, blocks, kThreads, 0, n, c, result, clipped, b.v);
  HAZE_LAUNCH(weights, s, blocks, kThreads, 0, n, c, result, b.m, b.v, b.w);
  if (b.ema) HAZE_LAUNCH(average, s, blocks, kThreads, 0, n, c, result, b.w, b.ema);
  if (b.w_bf16) HAZE_LAUNCH(round_weights, s, blocks, kThreads, 0, n, result, b.w, b.w_bf16);
}

}  // namespace haze::kernels
