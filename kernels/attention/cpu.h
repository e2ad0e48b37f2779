// SPDX-License-Identifier: MIT
// cpu.h — CPU backend: what attention's forward and backward share. Work goes by blocks of up to
// kBlock query rows of one image and head. Within a block the queries are the vector lanes: scores
// lie as [key][query], so softmax over the keys needs no sum across lanes, the scores are already
// the right operand of the next product, and a head of any size fills the vectors.
#pragma once
#include <cstdint>

#include "kernels/attention/attention.h"
#include "kernels/base/math.h"
#include "kernels/cpu/tile_product.h"

namespace haze::kernels::attention {

using namespace tiles;

constexpr int kBlock = 2 * kLanes;

inline int round_up(int n, int to) { return (n + to - 1) / to * to; }

/// Hands out parts of one worker's scratch; with a null base only counts.
struct Carver {
  float* base;
  std::size_t used = 0;
  float* take(std::size_t floats) {
    float* const at = base ? base + used : nullptr;
    used += (floats + 63) / 64 * 64;
    return at;
  }
};

/// Where the rows of one image and head start: q, k, v of qkv (or of dqkv).
template <class T>
struct Heads {
  T *q, *k, *v;
  std::ptrdiff_t stride;
  Heads(const AttentionDims& d, T* qkv, std::size_t image_head) {
    const std::size_t n = image_head / std::size_t(d.heads), h = image_head % std::size_t(d.heads);
    stride = 3 * std::ptrdiff_t(d.channels());
    q = qkv + n * std::size_t(d.tokens) * std::size_t(stride) + h * std::size_t(d.head_stride);
    k = q + d.k_offset;
    v = q + d.v_offset;
  }
};
/// Element 0 of token 0 of one image and head in o or dout [n, tokens, C].
template <class T>
T* out_rows(const AttentionDims& d, T* o, std::size_t image_head) {
  const std::size_t n = image_head / std::size_t(d.heads), h = image_head % std::size_t(d.heads);
  return o + n * std::size_t(d.tokens) * std::size_t(d.channels()) + h * std::size_t(d.head_dim);
}

/// Rows as f32: f32 is used in place, bf16 is converted into `scratch` [rows, d].
inline Broadcast as_f32(const float* x, std::ptrdiff_t stride, int, int, float*) {
  return {x, stride, 1};
}
inline Broadcast as_f32(const bf16* x, std::ptrdiff_t stride, int rows, int d, float* scratch) {
  for (int r = 0; r < rows; ++r) {
    const bf16* from = x + r * stride;
    float* to = scratch + std::ptrdiff_t(r) * d;
#pragma omp simd
    for (int c = 0; c < d; ++c) to[c] = float(from[c]);
  }
  return {scratch, d, 1};
}
inline Broadcast transposed(Broadcast a) { return {a.data, a.col, a.row}; }

/// to[c][r] = x[r][c] for the block's rows, zero in the lanes beyond them.
template <int kL, class T>
void pack_columns(const T* x, std::ptrdiff_t stride, int rows, int d, float* to) {
  for (int c = 0; c < d; ++c, to += kL) {
    for (int r = 0; r < rows; ++r) to[r] = float(x[r * stride + c]);
    for (int r = rows; r < kL; ++r) to[r] = 0;
  }
}

/// y[r][c] = from[c][r]·factor[r], or added to y.
template <int kL, bool kAdd, class T>
void unpack_columns(const float* from, const float* factor, int rows, int d, T* y,
                    std::ptrdiff_t stride) {
  for (int r = 0; r < rows; ++r, y += stride)
    for (int c = 0; c < d; ++c) {
      const float value = from[std::ptrdiff_t(c) * kL + r] * factor[r];
      y[c] = kAdd ? float(y[c]) + value : value;
    }
}

/// Scores s[j][r] become exp(scale·(s[j][r] - largest[r])); sum[r] gets what they add up to.
template <int kL>
void weights(int keys, float scale, const float* largest, float* s, float* sum) {
  std::fill_n(sum, kL, 0.f);
  for (int j = 0; j < keys; ++j, s += kL) {
#pragma omp simd
    for (int r = 0; r < kL; ++r) {
      const float e = exp_f32((s[r] - largest[r]) * scale);
      s[r] = e;
      sum[r] += e;
    }
  }
}

/// The same with largest[r] the row's largest score, and inverse[r] = 1/sum: softmax is their
/// product. A NaN fails every comparison, so it may miss the maximum, never the sum.
template <int kL>
void softmax_weights(int keys, float scale, float* s, float* largest, float* inverse) {
  std::copy_n(s, kL, largest);
  for (int j = 1; j < keys; ++j) {
    const float* row = s + std::ptrdiff_t(j) * kL;
#pragma omp simd
    for (int r = 0; r < kL; ++r) largest[r] = row[r] > largest[r] ? row[r] : largest[r];
  }
  weights<kL>(keys, scale, largest, s, inverse);
#pragma omp simd
  for (int r = 0; r < kL; ++r) inverse[r] = 1.0f / inverse[r];  // 1 <= sum <= keys, or NaN
}

/// f(std::integral_constant<int, lanes>): the narrow block saves work where few queries are left.
template <class F>
void with_lanes(int rows, F f) {
  if (rows > kLanes)
    f(std::integral_constant<int, 2 * kLanes>{});
  else
    f(std::integral_constant<int, kLanes>{});
}

}  // namespace haze::kernels::attention
