// SPDX-License-Identifier: MIT
// v2_online.cu — forward: a block owns 32 queries and walks over the keys in tiles of 32; the
// softmax is corrected as it goes (Milakov and Gimelshein, "Online normalizer calculation for
// softmax", 2018; Dao et al., "FlashAttention", 2022).
//
// What v1 lost: a block has one query, so every query reads all keys and values of its head; and it
// keeps a row of scores in shared memory, which bounds the number of tokens.
//
// The idea: exp(s_j - m) needs the largest score m, which is known after the last key only. Until
// then take the largest so far. When a tile brings a larger one, m', what was summed is exp(m - m')
// of what it should be, for the weights' sum and for the weighted values alike:
//
//      for each tile of keys:   s  = scale·q·k                        32 scores, one per lane
//                               m' = max(m, max s)
//                               total = total·exp(m - m') + Σ exp(s - m')
//                               sums  = sums ·exp(m - m') + Σ exp(s - m')·v
//      o = sums / total,  lse = m + log total
//
// No matrix of scores exists, for any number of tokens, and a key that was read serves 32 queries.
//
// Who does what: a warp has 4 queries. For the scores lane j has key j of the tile; for the sums it
// has columns j, j + 32, ... of v, and the weights come from the lanes by shuffles.
//
//      q [32][d]  ─┐  score: lane j reads q[r][c] (one address: a broadcast) and k[j][c]
//      k [32][d]  ─┤         (rows of odd length: 32 keys lie in 32 banks)
//      v [32][d]  ─┘  sum:   lane c reads v[j][c]: neighbours, 32 banks
//
// What it costs: 2 barriers per tile, 96·d floats of shared memory, 4·d/32 sums per thread; so a
// head has at most 256 numbers.
//
// What is left to gain: a multiply-add is an instruction of its own, and 4 of a score need 5 reads
// of shared memory (v3_tensor_cores.cu); and the block waits for every tile.
#include "kernels/attention/versions.h"
#include "kernels/base/math.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels {
namespace {

constexpr int kTile = 32, kRows = 4, kThreads = kTile / kRows * 32;  // a warp has kRows queries
constexpr unsigned kAllLanes = 0xffffffffu;

/// A NaN is never larger: it reaches the result by way of the sums.
HAZE_DEVICE float larger(float a, float b) { return b > a ? b : a; }
HAZE_DEVICE float warp_max(float v) {
  for (int lanes = 16; lanes > 0; lanes /= 2) v = larger(v, __shfl_xor_sync(kAllLanes, v, lanes));
  return v;
}

/// Rows [first, first + kTile) of a matrix [tokens, d] as f32, zeros beyond the last.
template <class T>
HAZE_DEVICE void load_rows(float* tile, int pitch, const T* matrix, std::ptrdiff_t stride,
                           int first, int tokens, int d) {
  for (int i = int(threadIdx.x); i < kTile * d; i += kThreads) {
    const int row = i / d, c = i % d;
    tile[row * pitch + c] = first + row < tokens ? float(matrix[(first + row) * stride + c]) : 0.0f;
  }
}

/// For heads of at most 32·kSums numbers.
template <int kSums, class T>
__global__ void __launch_bounds__(kThreads)
    online(AttentionDims d, float scale, const T* qkv, T* o, float* lse) {
  HAZE_DYNAMIC_SHARED(float, shared);
  const int pitch = d.head_dim | 1;  // odd: a column's numbers lie in different banks
  float *const q = shared, *const k = q + kTile * pitch, *const v = k + kTile * pitch;
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int tiles = (d.tokens + kTile - 1) / kTile;
  const int head = int(blockIdx.x) / tiles, first = int(blockIdx.x) % tiles * kTile;
  const std::ptrdiff_t channels = d.heads * d.head_dim, stride = 3 * channels;
  const std::ptrdiff_t image = std::ptrdiff_t(head / d.heads) * d.tokens, h = head % d.heads;
  const T* const from = qkv + image * stride + h * d.head_stride;
  float sums[kRows][kSums] = {}, total[kRows] = {}, top[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) top[r] = -INFINITY;

  load_rows(q, pitch, from, stride, first, d.tokens, d.head_dim);
  for (int j0 = 0; j0 < d.tokens; j0 += kTile) {
    __syncthreads();  // the keys and values before these have been used
    load_rows(k, pitch, from + d.k_offset, stride, j0, d.tokens, d.head_dim);
    load_rows(v, pitch, from + d.v_offset, stride, j0, d.tokens, d.head_dim);
    __syncthreads();
    float s[kRows] = {};  // of key j0 + lane
    for (int c = 0; c < d.head_dim; ++c) {
      const float key = k[lane * pitch + c];
#pragma unroll
      for (int r = 0; r < kRows; ++r) s[r] += q[(warp * kRows + r) * pitch + c] * key;
    }
    const bool is_key = j0 + lane < d.tokens;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float higher = larger(top[r], warp_max(is_key ? s[r] * scale : -INFINITY));
      const float shrink = exp_f32(top[r] - higher);
      top[r] = higher;
      s[r] = is_key ? exp_f32(s[r] * scale - higher) : 0.0f;
      total[r] = total[r] * shrink + s[r];  // of this lane's keys
#pragma unroll
      for (int i = 0; i < kSums; ++i) sums[r][i] *= shrink;
    }
    for (int j = 0; j < kTile; ++j) {
      float weight[kRows];
#pragma unroll
      for (int r = 0; r < kRows; ++r) weight[r] = __shfl_sync(kAllLanes, s[r], j);
#pragma unroll
      for (int i = 0; i < kSums; ++i) {
        if (lane + 32 * i >= d.head_dim) continue;
        const float value = v[j * pitch + lane + 32 * i];
#pragma unroll
        for (int r = 0; r < kRows; ++r) sums[r][i] += weight[r] * value;
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const float all = warp_sum(total[r]);
    const int row = first + warp * kRows + r;
    if (row >= d.tokens) continue;
    if (lane == 0) lse[std::ptrdiff_t(head) * d.tokens + row] = top[r] + logf(all);
#pragma unroll
    for (int i = 0; i < kSums; ++i)
      if (lane + 32 * i < d.head_dim)
        o[(image + row) * channels + h * d.head_dim + lane + 32 * i] = sums[r][i] / all;
  }
}

}  // namespace

void attention_forward_v2(CudaStream s, const AttentionDims& d, ConstAct qkv, Act o, float* lse) {
  HAZE_CHECK(d.head_dim <= 256, "attention_forward_v2: head_dim ", d.head_dim, "; at most 256");
  const unsigned blocks = unsigned(d.n * d.heads) * unsigned((d.tokens + kTile - 1) / kTile);
  const std::size_t shared = 3 * kTile * std::size_t(d.head_dim | 1) * sizeof(float);
  const float scale = 1.0f / std::sqrt(float(d.head_dim));
  dispatch(qkv.dtype, [&]<class T>(T) {
    if (d.head_dim <= 64)
      HAZE_LAUNCH((online<2, T>), s, blocks, kThreads, shared, d, scale, qkv.as<T>(), o.as<T>(),
                  lse);
    else
      HAZE_LAUNCH((online<8, T>), s, blocks, kThreads, shared, d, scale, qkv.as<T>(), o.as<T>(),
                  lse);
  });
}

}  // namespace haze::kernels
