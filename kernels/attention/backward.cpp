// SPDX-License-Identifier: MIT
// backward.cpp — CPU backend of attention's backward. A task is one image and head: it walks its
// blocks of queries and adds each block's part of dk and dv, in order, to sums of its own. Where
// those tasks are too few for the threads, each is split into ranges of queries (dq) and then
// ranges of keys (dk, dv), which both compute the scores: 7 products instead of 5, the same bits.
//
// The mean that softmax's gradient subtracts, Σ_j P_ij dP_ij, equals Σ_c dO_ic O_ic. It is taken
// from the P and dP of this very pass, so that each row of dS sums to zero as closely as f32
// allows: the gradient of a bias of k, which is zero, then stays as small as in other systems, and
// Adam does not make steps of the noise. Hence o is not read.
//
// P comes from this pass's own largest score and sum of each row, by the forward's arithmetic, so
// that each row of P sums to one however large the scores. An f32 log-sum-exp of 2^26 is a multiple
// of 8 and would leave P wrong by factors of up to e^4. Hence lse is not read.
#include <omp.h>

#include "kernels/attention/cpu.h"
#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {
using namespace attention;

struct Scratch {
  Carver carver;
  int padded;               // head_dim in whole vectors
  float *k, *v;             // [tokens, d], bf16 only
  float *dk, *dv;           // [tokens, padded]: sums over the queries
  float *q, *dout;          // [d, kBlock]
  float *q_row, *dout_row;  // [kBlock, padded]: the same numbers as rows
  float *s, *ds;            // [tokens, kBlock]
  float* dq;                // [d, kBlock]
  Scratch(float* base, const AttentionDims& d, DType type)
      : carver{base}, padded(round_up(d.head_dim, kLanes)) {
    const std::size_t tokens = std::size_t(d.tokens), head_dim = std::size_t(d.head_dim);
    const std::size_t converted = type == DType::f32 ? 0 : tokens * head_dim;
    k = carver.take(converted);
    v = carver.take(converted);
    dk = carver.take(tokens * std::size_t(padded));
    dv = carver.take(tokens * std::size_t(padded));
    for (float** columns : {&q, &dout, &dq}) *columns = carver.take(head_dim * kBlock);
    for (float** rows : {&q_row, &dout_row}) *rows = carver.take(std::size_t(padded) * kBlock);
    for (float** scores : {&s, &ds}) *scores = carver.take(tokens * kBlock);
  }
};

/// to[r][c] = x[r][c], zero beyond d.
template <class T>
void pack_rows(const T* x, std::ptrdiff_t stride, int rows, int d, float* to, int padded) {
  for (int r = 0; r < rows; ++r, x += stride, to += padded) {
#pragma omp simd
    for (int c = 0; c < d; ++c) to[c] = float(x[c]);
    std::fill(to + d, to + padded, 0.f);
  }
}

template <bool kAdd, class T>
void write_rows(const float* from, int padded, int rows, int d, T* y, std::ptrdiff_t stride) {
  for (int r = 0; r < rows; ++r, from += padded, y += stride) {
#pragma omp simd
    for (int c = 0; c < d; ++c) y[c] = kAdd ? float(y[c]) + from[c] : from[c];
  }
}

/// mean[r] = Σ_j P dP over all keys, P = weight·inverse.
template <int kL>
void row_means(int keys, const float* weight, const float* inverse, const float* dp, float* mean) {
  std::fill_n(mean, kL, 0.f);
  for (int j = 0; j < keys; ++j, weight += kL, dp += kL) {
#pragma omp simd
    for (int r = 0; r < kL; ++r) mean[r] = std::fma(weight[r], dp[r], mean[r]);
  }
#pragma omp simd
  for (int r = 0; r < kL; ++r) mean[r] *= inverse[r];
}

/// Weights become P = weight·inverse, and dP becomes dS = scale·P·(dP - mean).
template <int kL>
void score_gradients(int keys, float scale, const float* inverse, const float* mean, float* p,
                     float* ds) {
  for (int j = 0; j < keys; ++j, p += kL, ds += kL) {
#pragma omp simd
    for (int r = 0; r < kL; ++r) {
      p[r] *= inverse[r];
      ds[r] = scale * p[r] * (ds[r] - mean[r]);
    }
  }
}

/// What a range of keys has to know of each query, from all keys: computed with dq.
struct RowNumbers {
  float largest, inverse, mean;
};

/// What one task computes: dq of a range of queries, dk and dv of a range of keys, or both of all.
struct TaskRange {
  int key, keys, query, queries;
  bool dkv, dq;
};

template <class T>
struct Head {
  Heads<const T> in;
  const T* dout;
  RowNumbers* rows;  // [tokens]: written with dq for the ranges that see some keys only; else null
  Heads<T> grad;
};

template <class T, bool kAdd>
void run_range(const AttentionDims& d, const Head<T>& head, const TaskRange& range,
               const Scratch& own) {
  const int dim = d.head_dim, padded = own.padded, keys = range.keys;
  const std::ptrdiff_t c = d.channels(), stride = head.in.stride;
  const float scale = 1.0f / std::sqrt(float(dim));
  const Broadcast k = as_f32(head.in.k + range.key * stride, stride, keys, dim, own.k);
  const Broadcast v = as_f32(head.in.v + range.key * stride, stride, keys, dim, own.v);
  for (int done = 0; done < range.queries; done += kBlock) {
    const int first = range.query + done, rows = std::min(kBlock, range.queries - done);
    const T *q = head.in.q + first * stride, *dy = head.dout + first * c;
    with_lanes(rows, [&](auto lanes) {
      constexpr int kL = lanes;
      alignas(64) float largest[kL] = {}, inverse[kL], mean[kL] = {}, one[kL];
      std::fill_n(one, kL, 1.f);
      RowNumbers* const of_rows = head.rows ? head.rows + first : nullptr;
      pack_columns<kL>(q, stride, rows, dim, own.q);
      pack_columns<kL>(dy, c, rows, dim, own.dout);
      product(keys, kL, dim, k, {own.q, kL}, {own.s, kL});
      product(keys, kL, dim, v, {own.dout, kL}, {own.ds, kL});
      if (range.dq) {
        softmax_weights<kL>(keys, scale, own.s, largest, inverse);
        row_means<kL>(keys, own.s, inverse, own.ds, mean);
        for (int r = 0; of_rows && r < rows; ++r) of_rows[r] = {largest[r], inverse[r], mean[r]};
      } else {
        for (int r = 0; r < rows; ++r) largest[r] = of_rows[r].largest;
        weights<kL>(keys, scale, largest, own.s, inverse);
        for (int r = 0; r < rows; ++r) inverse[r] = of_rows[r].inverse, mean[r] = of_rows[r].mean;
      }
      score_gradients<kL>(keys, scale, inverse, mean, own.s, own.ds);
      if (range.dq) {
        product(dim, kL, keys, transposed(k), {own.ds, kL}, {own.dq, kL});
        unpack_columns<kL, kAdd>(own.dq, one, rows, dim, head.grad.q + first * stride, stride);
      }
      if (range.dkv) {
        const bool add = done > 0;
        pack_rows(q, stride, rows, dim, own.q_row, padded);
        pack_rows(dy, c, rows, dim, own.dout_row, padded);
        product(keys, padded, rows, {own.s, kL, 1}, {own.dout_row, padded}, {own.dv, padded}, add);
        product(keys, padded, rows, {own.ds, kL, 1}, {own.q_row, padded}, {own.dk, padded}, add);
      }
    });
  }
  if (!range.dkv) return;
  write_rows<kAdd>(own.dk, padded, keys, dim, head.grad.k + range.key * stride, stride);
  write_rows<kAdd>(own.dv, padded, keys, dim, head.grad.v + range.key * stride, stride);
}

/// Whether one task per image and head leaves too many threads idle.
bool splits(const AttentionDims& d) {
  return 7 * std::int64_t(d.n) * d.heads < 5 * std::int64_t(omp_get_max_threads());
}

/// The tasks of one image and head: one for everything, or first kSplit queries each, then (phase 1)
/// kSplit keys each.
constexpr int kSplit = 64;
int tasks_of_head(int tokens, bool split, int phase) {
  return split ? (tokens + kSplit - 1) / kSplit : 1 - phase;
}
TaskRange range_of(int tokens, bool split, int phase, int task) {
  if (!split) return {0, tokens, 0, tokens, true, true};
  const int first = task * kSplit, some = std::min(kSplit, tokens - first);
  return phase == 0 ? TaskRange{0, tokens, first, some, false, true}
                    : TaskRange{first, some, 0, tokens, true, false};
}

template <class T>
void backward(const AttentionDims& d, const T* qkv, const T* dout, T* dqkv, bool add,
              float* scratch) {
  const std::size_t floats = Scratch(nullptr, d, dtype_of<T>).carver.used;
  const std::int64_t heads = std::int64_t(d.n) * d.heads, threads = omp_get_max_threads();
  const bool split = splits(d);
  const auto run = add ? run_range<T, true> : run_range<T, false>;
  float* const shared = scratch + floats * std::size_t(threads);
  RowNumbers* const rows = split ? reinterpret_cast<RowNumbers*>(shared) : nullptr;
#pragma omp parallel num_threads(int(threads))
  {
    const Scratch own(scratch + floats * std::size_t(omp_get_thread_num()), d, dtype_of<T>);
    for (int phase = 0; phase < 2; ++phase) {
      const int per_head = tasks_of_head(d.tokens, split, phase);
#pragma omp for schedule(static)
      for (std::int64_t task = 0; task < heads * per_head; ++task) {
        const auto head = std::size_t(task / per_head);
        const std::size_t row = head * std::size_t(d.tokens);
        run(d,
            {{d, qkv, head},
             out_rows(d, dout, head),
             split ? rows + row : nullptr,
             {d, dqkv, head}},
            range_of(d.tokens, split, phase, int(task % per_head)), own);
      }
    }
  }
}

}  // namespace

template <>
std::size_t attention_backward_scratch_bytes(CpuStream, const AttentionDims& d, DType type) {
  const std::size_t own = Scratch(nullptr, d, type).carver.used;
  const std::size_t rows = std::size_t(d.n) * std::size_t(d.heads) * std::size_t(d.tokens);
  return own * std::size_t(omp_get_max_threads()) * sizeof(float) +
         (splits(d) ? rows * sizeof(RowNumbers) : 0);
}

template <>
void attention_backward(CpuStream, const AttentionDims& d, ConstAct qkv, ConstAct, const float*,
                        ConstAct dout, Grad dqkv, void* scratch) {
  dispatch(qkv.dtype, [&]<class T>(T) {
    backward(d, qkv.as<T>(), dout.as<T>(), dqkv.as<T>(), dqkv.adds(), static_cast<float*>(scratch));
  });
}

}  // namespace haze::kernels
