// backward.cpp — CPU backend of attention's backward: one task per image and head, which walks its
// blocks of queries and adds each block's part of dk and dv, in order, to sums of its own.
#include <omp.h>

#include "kernels/attention/block.h"
#include "kernels/common/math.h"
#include "kernels/common/stream.h"

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

/// sum_c a[r][c]·b[r][c] for the block's rows, zero beyond them.
template <int kL, class T>
void row_dots(const float* a, int padded, const T* b, std::ptrdiff_t stride, int rows, int d,
              float* dots) {
  std::fill_n(dots, kL, 0.f);
  for (int r = 0; r < rows; ++r, a += padded, b += stride) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int c = 0; c < d; ++c) sum += a[c] * float(b[c]);
    dots[r] = sum;
  }
}

template <bool kAdd, class T>
void write_rows(const float* from, int padded, int rows, int d, T* y, std::ptrdiff_t stride) {
  for (int r = 0; r < rows; ++r, from += padded, y += stride) {
#pragma omp simd
    for (int c = 0; c < d; ++c) y[c] = kAdd ? float(y[c]) + from[c] : from[c];
  }
}

/// Scores s and ds = dout·v become P = exp(scale·s - lse) and dS = scale·P·(ds - mean).
template <int kL>
void softmax_backward(int tokens, float scale, const float* lse, const float* mean, float* s,
                      float* ds) {
  for (int j = 0; j < tokens; ++j, s += kL, ds += kL) {
#pragma omp simd
    for (int r = 0; r < kL; ++r) {
      s[r] = exp_f32(std::fma(s[r], scale, -lse[r]));
      ds[r] = scale * s[r] * (ds[r] - mean[r]);
    }
  }
}

template <class T, bool kAdd>
void one_head(const AttentionDims& d, Heads<const T> in, const T* o, const float* lse,
              const T* dout, Heads<T> grad, const Scratch& own) {
  const int tokens = d.tokens, dim = d.head_dim, padded = own.padded;
  const std::ptrdiff_t c = d.channels();
  const float scale = 1.0f / std::sqrt(float(dim));
  const Broadcast k = as_f32(in.k, in.stride, tokens, dim, own.k);
  const Broadcast v = as_f32(in.v, in.stride, tokens, dim, own.v);
  for (int first = 0; first < tokens; first += kBlock) {
    const int rows = std::min(kBlock, tokens - first);
    const T *q = in.q + first * in.stride, *dy = dout + first * c;
    with_lanes(rows, [&](auto lanes) {
      constexpr int kL = lanes;
      alignas(64) float mean[kL], row_lse[kL] = {}, one[kL];
      std::fill_n(one, kL, 1.f);
      std::copy_n(lse + first, rows, row_lse);
      pack_columns<kL>(q, in.stride, rows, dim, own.q);
      pack_columns<kL>(dy, c, rows, dim, own.dout);
      pack_rows(q, in.stride, rows, dim, own.q_row, padded);
      pack_rows(dy, c, rows, dim, own.dout_row, padded);
      row_dots<kL>(own.dout_row, padded, o + first * c, c, rows, dim, mean);
      product(tokens, kL, dim, k, {own.q, kL}, {own.s, kL});
      product(tokens, kL, dim, v, {own.dout, kL}, {own.ds, kL});
      softmax_backward<kL>(tokens, scale, row_lse, mean, own.s, own.ds);
      product(dim, kL, tokens, transposed(k), {own.ds, kL}, {own.dq, kL});
      unpack_columns<kL, kAdd>(own.dq, one, rows, dim, grad.q + first * grad.stride, grad.stride);
      const bool add = first > 0;
      product(tokens, padded, rows, {own.s, kL, 1}, {own.dout_row, padded}, {own.dv, padded}, add);
      product(tokens, padded, rows, {own.ds, kL, 1}, {own.q_row, padded}, {own.dk, padded}, add);
    });
  }
  write_rows<kAdd>(own.dk, padded, tokens, dim, grad.k, grad.stride);
  write_rows<kAdd>(own.dv, padded, tokens, dim, grad.v, grad.stride);
}

template <class T>
void backward(const AttentionDims& d, const T* qkv, const T* o, const float* lse, const T* dout,
              T* dqkv, bool add, float* scratch) {
  const std::size_t floats = Scratch(nullptr, d, dtype_of<T>).carver.used;
  const std::int64_t heads = std::int64_t(d.n) * d.heads;
#pragma omp parallel num_threads(omp_get_max_threads())
  {
    const Scratch own(scratch + floats * std::size_t(omp_get_thread_num()), d, dtype_of<T>);
#pragma omp for schedule(static)
    for (std::int64_t head = 0; head < heads; ++head) {
      const auto at = std::size_t(head);
      const auto run = add ? one_head<T, true> : one_head<T, false>;
      run(d, {d, qkv, at}, out_rows(d, o, at), lse + head * d.tokens, out_rows(d, dout, at),
          {d, dqkv, at}, own);
    }
  }
}

}  // namespace

template <>
std::size_t attention_backward_scratch_bytes(CpuStream, const AttentionDims& d, DType type) {
  return Scratch(nullptr, d, type).carver.used * sizeof(float) * std::size_t(omp_get_max_threads());
}

template <>
void attention_backward(CpuStream, const AttentionDims& d, ConstAct qkv, ConstAct o,
                        const float* lse, ConstAct dout, Grad dqkv, void* scratch) {
  dispatch(qkv.dtype, [&]<class T>(T) {
    backward(d, qkv.as<T>(), o.as<T>(), lse, dout.as<T>(), dqkv.as<T>(), dqkv.adds(),
             static_cast<float*>(scratch));
  });
}

}  // namespace haze::kernels
