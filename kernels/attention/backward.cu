// SPDX-License-Identifier: MIT
// backward.cu — CUDA version, two kernels, both on the tiles of tiles.cuh and free of sums that
// meet in memory:
//   query_gradient  owns 64 queries, walks over the keys:  S = Q Kᵀ, dP = dO Vᵀ, dq = dS K
//   key_gradients   owns 64 keys, walks over the queries:  Sᵀ = K Qᵀ, dPᵀ = V dOᵀ, dv = Pᵀ dO,
//                                                          dk = dSᵀ Q
// Seven products where five would do if dq were summed over blocks of keys in memory; but such sums
// are either atomic, with an order that changes from run to run, or cost that traffic.
//
// The mean that softmax's gradient subtracts, Σ_j P_ij dP_ij, equals dO_i·o_i. query_gradient
// starts from that number, with o as it was rounded, and keeps the sum of what its rows of
// P(dP - guess) leave over; guess + rest / Σ P is the mean of the very P and dP that
// key_gradients computes again. So each row of dS sums to zero as closely as f32 allows there, and
// the gradient of a bias of k, which is zero, stays small (see backward.cpp).
//
// An f32 log-sum-exp of 2^26 is a multiple of 8, so weights exp(s - lse) of such a row are off by a
// common factor of up to e^4. query_gradient divides dq by their sum Σ P and hands 1 / Σ P to
// key_gradients: probabilities sum to one as long as that factor is an f32 number, for |lse| < 2^30.
#include "kernels/attention/pipeline.cuh"

namespace haze::kernels {
namespace {
using namespace attention;

template <class T>
struct Operands {
  const T *qkv, *o;
  const float* lse;
  const T* dout;
  T* dqkv;
  bool add;
  float *means, *inverses;  // [n, heads, tokens]: query_gradient writes, key_gradients reads
};

/// guess[r] = Σ_c dout·o of the block's rows, a warp its own.
template <class P, class T>
HAZE_DEVICE void guess_means(const AttentionPlan& plan, const AttentionBlock& at,
                             const Operands<T>& in, float (&guess)[P::kRows]) {
  for (int r = P::warp_row(); r < P::warp_row() + P::kRows / 4; ++r) {
    const std::size_t from = at.out + std::size_t(at.row + r) * std::size_t(plan.channels);
    float sum = 0;
    if (at.row + r < plan.d.tokens)
      for (int c = lane_id(); c < plan.d.head_dim; c += 32)
        sum += float(in.dout[from + c]) * float(in.o[from + c]);
    sum = warp_sum(sum);
    if (lane_id() == 0) guess[r] = sum;
  }
  __syncwarp();
}

template <class P, class T = typename P::Element>
__global__ void __launch_bounds__(kThreads, P::kR* P::kSums <= 32 ? 3 : 2)
    query_gradient(AttentionPlan plan, float scale, Operands<T> in) {
  HAZE_DYNAMIC_SHARED(T, shared);
  HAZE_SHARED(float[P::kRows], guesses);
  const AttentionDims& d = plan.d;
  const AttentionBlock at(plan, blockIdx.x, P::kRows);
  const std::ptrdiff_t c3 = 3 * std::ptrdiff_t(plan.channels);
  const auto matrix = [&](const T* p, std::ptrdiff_t stride) {
    return Matrix<T>{p, stride, d.tokens, d.head_dim, plan.vectors};
  };
  const T* const q = in.qkv + at.qkv;
  Pipeline<P, 2> pipe{shared,
                      {matrix(q, c3), matrix(in.dout + at.out, plan.channels)},
                      {matrix(q + d.k_offset, c3), matrix(q + d.v_offset, c3)},
                      {},
                      at.row,
                      plan.chunks,
                      at.chunk,
                      0};
  start_loading(pipe, Step{});
  guess_means<P>(plan, at, in, guesses);
  const int rows = d.tokens - at.row;
  float offset[P::kR], guess[P::kR], rest[P::kR] = {}, weight[P::kR] = {};
#pragma unroll
  for (int r = 0; r < P::kR; ++r) {
    offset[r] =
        P::row(r) < rows ? in.lse[at.first + std::size_t(at.row + P::row(r))] * P::kUnit : 0;
    guess[r] = guesses[P::row(r)];
  }
  typename P::Scores s = {}, ds = {};
  typename P::Sums dq = {};
  for (Step step; step.block < pipe.blocks(); step = step.next(plan.chunks)) {
    const auto tiles = next_tiles(pipe, step);
    if (P::warp_row() >= rows) continue;
    const int cols = pipe.cols(step), width = pipe.width(step);
    P::multiply(s, tiles.left[0], tiles.right[0], width, cols);
    P::multiply(ds, tiles.left[1], tiles.right[1], width, cols);
    if (step.chunk + 1 < plan.chunks) continue;
#pragma unroll
    for (int r = 0; r < P::kR; ++r)
#pragma unroll
      for (int c = 0; c < P::kC; ++c) {
        const float p = P::col(c) < cols ? P::weight(s(r, c), scale * P::kUnit, offset[r]) : 0.0f;
        ds(r, c) = p * (ds(r, c) - guess[r]);
        weight[r] += p;
        rest[r] += ds(r, c);
      }
    P::accumulate(dq, ds, tiles.right[0], width, cols, pipe.scratch());
    s = {}, ds = {};
  }
  if (P::warp_row() >= rows) return;
#pragma unroll
  for (int r = 0; r < P::kR; ++r) {
    const float inverse = 1.0f / P::row_sum(weight[r]);
    const float mean = guess[r] + P::row_sum(rest[r]) * inverse;
    weight[r] = scale * inverse;
    if (at.chunk == 0 && P::row(r) < rows && P::col(0) == 0) {
      const std::size_t row = at.first + std::size_t(at.row + P::row(r));
      in.means[row] = mean;
      in.inverses[row] = inverse;
    }
  }
  const int column = at.chunk * P::kD;
  write_rows<P>(
      dq, [&](int r) { return weight[r]; },
      in.dqkv + at.qkv + std::size_t(at.row) * std::size_t(c3) + column, c3, rows,
      d.head_dim - column, in.add, plan.vectors);
}

template <class P, class T = typename P::Element>
__global__ void __launch_bounds__(kThreads, P::kR* P::kSums <= 32 ? 3 : 2)
    key_gradients(AttentionPlan plan, float scale, Operands<T> in) {
  HAZE_DYNAMIC_SHARED(T, shared);
  const AttentionDims& d = plan.d;
  const AttentionBlock at(plan, blockIdx.x, P::kRows);
  const std::ptrdiff_t c3 = 3 * std::ptrdiff_t(plan.channels);
  const auto matrix = [&](const T* p, std::ptrdiff_t stride) {
    return Matrix<T>{p, stride, d.tokens, d.head_dim, plan.vectors};
  };
  const T* const q = in.qkv + at.qkv;
  Pipeline<P, 2, true> pipe{shared,
                            {matrix(q + d.k_offset, c3), matrix(q + d.v_offset, c3)},
                            {matrix(q, c3), matrix(in.dout + at.out, plan.channels)},
                            {in.lse + at.first, in.means + at.first, in.inverses + at.first},
                            at.row,
                            plan.chunks,
                            at.chunk,
                            0};
  start_loading(pipe, Step{});
  const int rows = d.tokens - at.row;
  typename P::Scores p = {}, ds = {};
  typename P::Sums dk = {}, dv = {};
  for (Step step; step.block < pipe.blocks(); step = step.next(plan.chunks)) {
    const auto tiles = next_tiles(pipe, step);
    if (P::warp_row() >= rows) continue;
    const int cols = pipe.cols(step), width = pipe.width(step);
    P::multiply(p, tiles.left[0], tiles.right[0], width, cols);
    P::multiply(ds, tiles.left[1], tiles.right[1], width, cols);
    if (step.chunk + 1 < plan.chunks) continue;
#pragma unroll
    for (int c = 0; c < P::kC; ++c) {
      // Beyond the last query all three numbers are zero, and so are the probabilities: the scores
      // stay unmasked here.
      const float offset = tiles.numbers[0][P::col(c)] * P::kUnit,
                  mean = tiles.numbers[1][P::col(c)], inverse = tiles.numbers[2][P::col(c)];
#pragma unroll
      for (int r = 0; r < P::kR; ++r) {
        p(r, c) = P::weight(p(r, c), scale * P::kUnit, offset) * inverse;
        ds(r, c) = p(r, c) * (ds(r, c) - mean);
      }
    }
    P::accumulate(dv, p, tiles.right[1], width, cols, pipe.scratch());
    P::accumulate(dk, ds, tiles.right[0], width, cols, pipe.scratch());
    p = {}, ds = {};
  }
  if (P::warp_row() >= rows) return;
  const int column = at.chunk * P::kD;
  T* const to = in.dqkv + at.qkv + std::size_t(at.row) * std::size_t(c3) + column;
  const auto write = [&](typename P::Sums& sums, float factor, T* y) {
    write_rows<P>(
        sums, [&](int) { return factor; }, y, c3, rows, d.head_dim - column, in.add, plan.vectors);
  };
  write(dk, scale, to + d.k_offset);
  write(dv, 1.0f, to + d.v_offset);
}

template <class P, class T = typename P::Element>
void run(CudaStream s, const AttentionDims& d, const Operands<T>& in) {
  const AttentionPlan plan = AttentionPlan::of<P>(d, {in.qkv, in.dout, in.dqkv});
  const float scale = 1.0f / std::sqrt(float(d.head_dim));
  const std::size_t shared = plan.shared_bytes<P>(2);
  HAZE_LAUNCH((query_gradient<P>), s, plan.blocks(), kThreads, shared, plan, scale, in);
  HAZE_LAUNCH((key_gradients<P>), s, plan.blocks(), kThreads, shared, plan, scale, in);
}

}  // namespace

template <>
std::size_t attention_backward_scratch_bytes(CudaStream, const AttentionDims& d, DType) {
  return 2 * std::size_t(d.n) * std::size_t(d.heads) * std::size_t(d.tokens) * sizeof(float);
}

template <>
void attention_backward(CudaStream s, const AttentionDims& d, ConstAct qkv, ConstAct o,
                        const float* lse, ConstAct dout, Grad dqkv, void* scratch) {
  float* const means = static_cast<float*>(scratch);
  float* const inverses = means + std::size_t(d.n) * std::size_t(d.heads) * std::size_t(d.tokens);
  const auto operands = [&]<class T>(T) {
    return Operands<T>{qkv.as<T>(),  o.as<T>(),   lse,   dout.as<T>(),
                       dqkv.as<T>(), dqkv.adds(), means, inverses};
  };
  using Exact = AttentionFma<64, 32>;
  using ExactWide = AttentionFma<64, 16>;  // two copies of the left operands: 87 of 99 KiB
  using Few = AttentionMma<64, 32, 1>;
  using Many = AttentionMma<64, 32, 2>;  // 32 rows per warp: registers have room for them
  using Wide = AttentionMma<128, 32, 1>;
  if (qkv.dtype == DType::f32)
    return (d.head_dim > Exact::kD ? run<ExactWide> : run<Exact>)(s, d, operands(float()));
  const auto run_bf16 = d.head_dim > 64 ? run<Wide> : d.tokens <= 64 ? run<Few> : run<Many>;
  run_bf16(s, d, operands(bf16(0.f)));
}

}  // namespace haze::kernels
