// SPDX-License-Identifier: MIT
// adam.cu — CUDA version. Two launches for one update, each array read and written once:
//
//   sum_chunks   a block per chunk of g: its sum of squares in double; 4 bytes per weight
//   update       every block first adds all the chunks' sums, in the same order, and so knows the
//                norm and, from the losses, whether the step is skipped; then vectors of w, g, m, v,
//                ema; 28 to 38 bytes per weight
//
// The chunks' sums are 8 bytes per 65,536 weights: 20 kB for 168 million, which every block finds
// in L2. That replaces a third launch, or a counter of finished blocks that somebody would have to
// set to zero (docs/kernels/diffusion.md).
#include <cmath>

#include "kernels/adam/adam.h"
#include "kernels/cuda/rows.h"

namespace haze::kernels {
namespace {

constexpr int kChunkThreads = 1024, kThreads = 256;
constexpr unsigned kMostBlocks = 132 * 8;

__global__ void __launch_bounds__(kChunkThreads)
    sum_chunks(std::size_t n, const float* g, bool vectors, double* partial) {
  HAZE_SHARED(double[32], smem);
  const std::size_t first = std::size_t(blockIdx.x) * kNormChunk;
  const int count = int(n - first < kNormChunk ? n - first : kNormChunk);
  const int in_vectors = vectors ? count / 4 : 0;
  double sum = 0;
#pragma unroll 4
  for (int i = int(threadIdx.x); i < in_vectors; i += kChunkThreads) {
    const Vec<float, 4> v = load<4>(g + first + std::size_t(i) * 4);
#pragma unroll
    for (int k = 0; k < 4; ++k) sum += double(v[k]) * double(v[k]);
  }
  for (int i = in_vectors * 4 + int(threadIdx.x); i < count; i += kChunkThreads)
    sum += double(g[first + i]) * double(g[first + i]);
  sum = block_sum(sum, smem);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/// The norm, in every thread. The block has kThreads threads.
HAZE_DEVICE float norm_of_chunks(unsigned chunks, const double* partial, double (&smem)[32]) {
  double sum = 0;
  for (unsigned i = threadIdx.x; i < chunks; i += kThreads) sum += partial[i];
  return float(std::sqrt(block_sum(sum, smem)));
}

__global__ void __launch_bounds__(kThreads)
    root_of_chunks(unsigned chunks, const double* partial, float* norm) {
  HAZE_SHARED(double[32], smem);
  const float value = norm_of_chunks(chunks, partial, smem);
  if (threadIdx.x == 0) *norm = value;
}

template <int N>
HAZE_DEVICE void update_vector(const AdamStep& c, const AdamBuffers& b, float factor,
                               std::size_t at) {
  const Vec<float, N> g = load<N>(b.g + at);
  Vec<float, N> w = load<N>(b.w + at), m = load<N>(b.m + at), v = load<N>(b.v + at), ema{};
  if (b.ema) ema = load<N>(b.ema + at);
  Vec<bf16, N> half;
#pragma unroll
  for (int k = 0; k < N; ++k) {
    const float gradient = g[k] * factor;
    m[k] = c.beta1 * m[k] + c.one_minus_beta1 * gradient;
    v[k] = c.beta2 * v[k] + c.one_minus_beta2 * (gradient * gradient);
    const float denominator = std::sqrt(v[k]) * c.inv_sqrt_bias2 + c.eps;
    w[k] = w[k] - (c.decay * w[k] + c.step_size * m[k] / denominator);
    ema[k] += c.one_minus_decay * (w[k] - ema[k]);
    half[k] = w[k];
  }
  store(b.m + at, m);
  store(b.v + at, v);
  store(b.w + at, w);
  if (b.ema) store(b.ema + at, ema);
  if (b.w_bf16) store(b.w_bf16 + at, half);
}

/// Is one of the step's losses not finite? The same answer in every thread of the block.
HAZE_DEVICE bool a_loss_is_bad(int parts, const float* losses) {
  int bad = 0;
  for (int k = int(threadIdx.x); k < parts; k += kThreads)
    bad |= !(std::fabs(losses[k]) <= FLT_MAX);  // a NaN is not
  return __syncthreads_or(bad) != 0;
}

__global__ void __launch_bounds__(kThreads)
    update(std::size_t n, Late<AdamStep> late, AdamBuffers b, bool vectors, unsigned chunks,
           const double* partial, float* result) {
  HAZE_SHARED(double[32], smem);
  const AdamStep c = late.get();
  const float norm = norm_of_chunks(chunks, partial, smem);
  // Always asked: a barrier that only some norms reach would cost four registers more.
  const bool bad = a_loss_is_bad(b.parts, b.losses);
  const bool good = norm <= c.skip_above && !bad;
  if (thread_of_grid() == 0) result[0] = norm, result[1] = good ? 1.0f : 0.0f;
  if (!good) return;
  float factor = 1;
  if (c.clip > 0) {
    const float wanted = c.clip / (norm + 1e-6f);
    factor = wanted > 1 ? 1.0f : wanted;
  }
  const std::size_t in_vectors = vectors ? n / 4 : 0;
  for (std::size_t i = thread_of_grid(); i < in_vectors; i += threads_of_grid())
    update_vector<4>(c, b, factor, i * 4);
  for (std::size_t i = in_vectors * 4 + thread_of_grid(); i < n; i += threads_of_grid())
    update_vector<1>(c, b, factor, i);
}

unsigned chunks_of(std::size_t n) { return unsigned((n + kNormChunk - 1) / kNormChunk); }

void launch_sum_chunks(CudaStream s, std::size_t n, const float* g, double* partial) {
  const bool vectors = aligned16({g});
  HAZE_LAUNCH(sum_chunks, s, chunks_of(n), kChunkThreads, 0, n, g, vectors, partial);
}

}  // namespace

template <>
void global_norm(CudaStream s, std::size_t n, const float* g, void* scratch, float* norm) {
  double* partial = static_cast<double*>(scratch);
  launch_sum_chunks(s, n, g, partial);
  HAZE_LAUNCH(root_of_chunks, s, 1, kThreads, 0, chunks_of(n), partial, norm);
}

template <>
void adam_step(CudaStream s, std::size_t n, const Late<AdamStep>& c, const AdamBuffers& b,
               void* scratch, float* result) {
  double* partial = static_cast<double*>(scratch);
  launch_sum_chunks(s, n, b.g, partial);
  const bool vectors = aligned16({b.w, b.g, b.m, b.v, b.ema, b.w_bf16});
  HAZE_LAUNCH(update, s, blocks_for(n / 4, kThreads, kMostBlocks), kThreads, 0, n, c, b, vectors,
              chunks_of(n), partial, result);
}

}  // namespace haze::kernels
