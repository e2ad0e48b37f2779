// SPDX-License-Identifier: MIT
// forward.cu — CUDA version: FlashAttention-2's scheme (Dao, 2023) on the tiles of tiles.cuh. A
// block keeps 64 queries and walks over the keys; the largest score so far and the sum of weights
// of each row stay in registers, and when a larger score appears, what was summed is scaled down.
// Reads q once and k, v once per 64 queries, writes o and lse; nothing of size tokens².
#include "kernels/attention/pipeline.cuh"

namespace haze::kernels {
namespace {
using namespace attention;

/// Scores become weights exp(scale·s - shift), zero for columns from `cols` on. `shift` is scale
/// times the row's largest score so far: it moves up first, and the sums and the weights' total
/// are scaled to it. A NaN loses every comparison, so it may miss the maximum, never the sum.
/// factor and shift count in the policy's unit.
template <class P>
HAZE_DEVICE void softmax_step(typename P::Scores& s, typename P::Sums& sums, float (&shift)[P::kR],
                              float (&total)[P::kR], float factor, int cols) {
#pragma unroll
  for (int r = 0; r < P::kR; ++r) {
    float top = -INFINITY;
#pragma unroll
    for (int c = 0; c < P::kC; ++c)
      if (P::col(c) < cols) top = s(r, c) > top ? s(r, c) : top;
    top = P::row_max(top) * factor;
    top = shift[r] > top ? shift[r] : top;
    const float shrink = P::weight(shift[r], 1, top);
    shift[r] = top;
    float part = 0;
#pragma unroll
    for (int c = 0; c < P::kC; ++c) {
      s(r, c) = P::col(c) < cols ? P::weight(s(r, c), factor, top) : 0.0f;
      part += s(r, c);
    }
    total[r] = total[r] * shrink + part;
#pragma unroll
    for (int c = 0; c < P::kSums; ++c) sums(r, c) *= shrink;
  }
}

template <class P, class T = typename P::Element>
__global__ void __launch_bounds__(kThreads, P::kR* P::kSums <= 32 ? 4 : 2)
    attention_rows(AttentionPlan plan, float scale, const T* qkv, T* o, float* lse) {
  HAZE_DYNAMIC_SHARED(T, shared);
  const AttentionDims& d = plan.d;
  const AttentionBlock at(plan, blockIdx.x, P::kRows);
  const std::ptrdiff_t stride = 3 * std::ptrdiff_t(plan.channels);
  const auto matrix = [&](const T* p) {
    return Matrix<T>{p, stride, d.tokens, d.head_dim, plan.vectors};
  };
  const T* const q = qkv + at.qkv;
  Pipeline<P, 1> pipe{shared,
                      {matrix(q)},
                      {matrix(q + d.k_offset), matrix(q + d.v_offset)},
                      {},
                      at.row,
                      plan.chunks,
                      at.chunk,
                      0};
  start_loading(pipe, Step{});
  const int rows = d.tokens - at.row;
  float shift[P::kR], total[P::kR] = {};
#pragma unroll
  for (int r = 0; r < P::kR; ++r) shift[r] = -INFINITY;
  typename P::Scores s = {};
  typename P::Sums sums = {};
  for (Step step; step.block < pipe.blocks(); step = step.next(plan.chunks)) {
    const auto tiles = next_tiles(pipe, step);
    if (P::warp_row() >= rows) continue;
    const int cols = pipe.cols(step), width = pipe.width(step);
    P::multiply(s, tiles.left[0], tiles.right[0], width, cols);
    if (step.chunk + 1 < plan.chunks) continue;
    softmax_step<P>(s, sums, shift, total, scale * P::kUnit, cols);
    P::accumulate(sums, s, tiles.right[1], width, cols, pipe.scratch());
    s = {};
  }
  if (P::warp_row() >= rows) return;
#pragma unroll
  for (int r = 0; r < P::kR; ++r) {
    total[r] = P::row_sum(total[r]);
    if (at.chunk == 0 && P::row(r) < rows && P::col(0) == 0)
      lse[at.first + std::size_t(at.row + P::row(r))] = shift[r] / P::kUnit + logf(total[r]);
    total[r] = 1.0f / total[r];  // 1 <= total <= tokens, or NaN
  }
  const int column = at.chunk * P::kD;
  write_rows<P>(
      sums, [&](int r) { return total[r]; },
      o + at.out + std::size_t(at.row) * plan.channels + column, plan.channels, rows,
      d.head_dim - column, false, plan.vectors);
}

template <class P, class T = typename P::Element>
void run(CudaStream s, const AttentionDims& d, const T* qkv, T* o, float* lse) {
  const AttentionPlan plan = AttentionPlan::of<P>(d, {qkv, o});
  HAZE_LAUNCH((attention_rows<P>), s, plan.blocks(), kThreads, plan.shared_bytes<P>(1), plan,
              1.0f / std::sqrt(float(d.head_dim)), qkv, o, lse);
}

}  // namespace

template <>
std::size_t attention_forward_scratch_bytes(CudaStream, const AttentionDims&, DType) {
  return 0;
}

template <>
void attention_forward(CudaStream s, const AttentionDims& d, ConstAct qkv, Act o, float* lse,
                       void*) {
  if (qkv.dtype == DType::f32)
    return run<AttentionFma<64, 32>>(s, d, qkv.as<float>(), o.as<float>(), lse);
  // The widest sums that registers hold, so that a head is one chunk, or few; and 32 rows per warp
  // where registers suffice and there are as many rows.
  // More than one chunk takes two copies of the queries: 16 columns a step then, 97 of 99 KiB.
  const bool few = d.tokens <= 64;
  const auto run_bf16 = [&] {
    if (d.head_dim <= 64) return few ? run<AttentionMma<64, 64, 1>> : run<AttentionMma<64, 64, 2>>;
    if (d.head_dim <= 128)
      return few ? run<AttentionMma<128, 64, 1>> : run<AttentionMma<128, 32, 2>>;
    return d.head_dim <= 256 ? run<AttentionMma<256, 32, 1>> : run<AttentionMma<256, 16, 1>>;
  }();
  run_bf16(s, d, qkv.as<bf16>(), o.as<bf16>(), lse);
}

}  // namespace haze::kernels
