// SPDX-License-Identifier: MIT
// v3_tensor_cores.cu — forward, bf16: v2_online.cu with both products on tensor cores.
//
// What v2 lost: every multiply-add was an instruction, and needed more than one read of shared
// memory.
//
// The idea: S = q kᵀ and o = P v are products of matrices, 16 queries by 32 keys for a warp and
// step. Lane 4g + q of an mma.sync holds, with t = 2q, rows g and g + 8 of the sums at columns t
// and t + 1, and of a left operand the same rows at the same columns in pairs (ptx.h, and the
// drawing in conv2d/v3_tensor_cores.cu). So the scores of 16 keys, once they are weights rounded to
// bf16, are the left operand of P v, in the very lane that has them:
//
//          keys  0..7      8..15                      left operand of 16 queries by 16 keys
//        ┌─────────┬─────────┐   exp, round, pair     ┌─────────┬─────────┐
//    g   │ s0[0,1] │ s1[0,1] │  ───────────────────►  │   a0    │   a2    │
//  g + 8 │ s0[2,3] │ s1[2,3] │                        │   a1    │   a3    │
//        └─────────┴─────────┘                        └─────────┴─────────┘
//
// Weights never leave the registers, and a row's maximum lies in 4 lanes: two shuffles.
//
// What it costs: 2 barriers per step, 256 bytes of shared memory per number of a head, half a sum
// per thread for each (hence at most 256), and the rounding of the weights, 2^-9 of each.
//
// What is left to gain: a row of 64 numbers is 128 bytes, all the banks of shared memory, so the 8
// rows of one load meet in one place: 8 wavefronts for 1. A right operand of P v pairs two keys,
// two rows: 2 bytes a load. The shipped kernel (pipeline.cuh, forward.cu) keeps tiles in an XORed
// order, reads them by ldmatrix and ldmatrix.trans, copies them ahead by cp.async, gives a warp 32
// queries where registers allow, and takes any head.
#include "kernels/attention/versions.h"
#include "kernels/base/math.h"
#include "kernels/cuda/ptx.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 128, kQueries = 64, kKeys = 32;  // 16 queries a warp
constexpr int kTiles = kKeys / 8;                         // of scores, 16x8 each

/// Rows [first, first + rows) of a matrix [tokens, d], zeros beyond the last row and column.
template <int rows, int kD>
HAZE_DEVICE void load_rows(bf16* tile, const bf16* matrix, std::ptrdiff_t stride, int first,
                           int tokens, int d) {
  for (int i = int(threadIdx.x); i < rows * kD; i += kThreads) {
    const int row = first + i / kD, c = i % kD;
    tile[i] = row < tokens && c < d ? matrix[row * stride + c] : bf16(0.f);
  }
}

HAZE_DEVICE std::uint32_t pair(bf16 first, bf16 second) {
  return std::uint32_t(first.bits) | std::uint32_t(second.bits) << 16;
}
/// Two neighbours of a row.
HAZE_DEVICE std::uint32_t pair_at(const bf16* p) {
  return std::bit_cast<std::uint32_t>(load<2>(p));
}

/// A NaN is never larger: it reaches the result by way of the sums.
HAZE_DEVICE float larger(float a, float b) { return b > a ? b : a; }

/// For heads of at most kD numbers.
template <int kD>
__global__ void __launch_bounds__(kThreads)
    tensor_cores(AttentionDims d, float scale, const bf16* qkv, bf16* o, float* lse) {
  HAZE_DYNAMIC_SHARED(bf16, q);
  bf16 *const k = q + kQueries * kD, *const v = k + kKeys * kD;
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, g = lane / 4;
  const int t = lane % 4 * 2, blocks = (d.tokens + kQueries - 1) / kQueries;
  const int head = int(blockIdx.x) / blocks, first = int(blockIdx.x) % blocks * kQueries;
  const std::ptrdiff_t channels = d.heads * d.head_dim, stride = 3 * channels;
  const std::ptrdiff_t image = std::ptrdiff_t(head / d.heads) * d.tokens, h = head % d.heads;
  const bf16* const from = qkv + image * stride + h * d.head_stride;
  float sums[kD / 8][4] = {}, total[2] = {}, top[2] = {-INFINITY, -INFINITY};  // of rows g, g + 8

  load_rows<kQueries, kD>(q, from, stride, first, d.tokens, d.head_dim);
  for (int j0 = 0; j0 < d.tokens; j0 += kKeys) {
    __syncthreads();  // the keys and values before these have been used
    load_rows<kKeys, kD>(k, from + d.k_offset, stride, j0, d.tokens, d.head_dim);
    load_rows<kKeys, kD>(v, from + d.v_offset, stride, j0, d.tokens, d.head_dim);
    __syncthreads();

    float s[kTiles][4] = {};
    for (int c = 0; c < d.head_dim; c += 16) {
      const bf16* const left = q + (warp * 16 + g) * kD + c + t;
      const std::uint32_t a[4] = {pair_at(left), pair_at(left + 8 * kD), pair_at(left + 8),
                                  pair_at(left + 8 * kD + 8)};
#pragma unroll
      for (int j = 0; j < kTiles; ++j) {
        const bf16* const right = k + (j * 8 + g) * kD + c + t;
        ptx::mma_m16n8k16_bf16(s[j], a, pair_at(right), pair_at(right + 8));
      }
    }

    // Rows g (half 0: elements 0 and 1) and g + 8 (half 1: 2 and 3), as in v2.
    const auto is_key = [&](int j, int e) { return j0 + j * 8 + t + e % 2 < d.tokens; };
    float higher[2] = {top[0], top[1]};
#pragma unroll
    for (int j = 0; j < kTiles; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        if (is_key(j, e)) higher[e / 2] = larger(higher[e / 2], s[j][e] * scale);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      for (int lanes = 1; lanes < 4; lanes *= 2)
        higher[half] = larger(higher[half], __shfl_xor_sync(0xffffffffu, higher[half], lanes));
      const float shrink = exp_f32(top[half] - higher[half]);
      top[half] = higher[half], total[half] *= shrink;
#pragma unroll
      for (int i = 0; i < kD / 8; ++i) sums[i][2 * half] *= shrink, sums[i][2 * half + 1] *= shrink;
    }
#pragma unroll
    for (int j = 0; j < kTiles; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        s[j][e] = is_key(j, e) ? exp_f32(s[j][e] * scale - top[e / 2]) : 0.0f;
        total[e / 2] += s[j][e];
      }

#pragma unroll
    for (int j = 0; j < kTiles; j += 2) {
      std::uint32_t a[4];
#pragma unroll
      for (int e = 0; e < 4; ++e)
        a[e] = pair(bf16(s[j + e / 2][e % 2 * 2]), bf16(s[j + e / 2][e % 2 * 2 + 1]));
#pragma unroll
      for (int i = 0; i < kD / 8; ++i) {
        if (i * 8 >= d.head_dim) continue;
        const bf16* const right = v + (j * 8 + t) * kD + i * 8 + g;
        ptx::mma_m16n8k16_bf16(sums[i], a, pair(right[0], right[kD]),
                               pair(right[8 * kD], right[9 * kD]));
      }
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float all = total[half];
    for (int lanes = 1; lanes < 4; lanes *= 2) all += __shfl_xor_sync(0xffffffffu, all, lanes);
    const int row = first + warp * 16 + g + 8 * half;
    if (row >= d.tokens) continue;
    if (t == 0) lse[std::ptrdiff_t(head) * d.tokens + row] = top[half] + logf(all);
#pragma unroll
    for (int i = 0; i < kD / 8; ++i)
#pragma unroll
      for (int e = 0; e < 2; ++e)
        if (i * 8 + t + e < d.head_dim)
          o[(image + row) * channels + h * d.head_dim + i * 8 + t + e] =
              sums[i][2 * half + e] / all;
  }
}

template <int kD>
void run(CudaStream s, const AttentionDims& d, ConstAct qkv, Act o, float* lse) {
  const unsigned blocks = unsigned(d.n * d.heads) * unsigned((d.tokens + kQueries - 1) / kQueries);
  HAZE_LAUNCH(tensor_cores<kD>, s, blocks, kThreads, (kQueries + 2 * kKeys) * kD * sizeof(bf16), d,
              1.0f / std::sqrt(float(d.head_dim)), qkv.as<bf16>(), o.as<bf16>(), lse);
}

}  // namespace

void attention_forward_v3(CudaStream s, const AttentionDims& d, ConstAct qkv, Act o, float* lse) {
  HAZE_CHECK(d.head_dim <= 256, "attention_forward_v3: head_dim ", d.head_dim, "; at most 256");
  d.head_dim <= 64    ? run<64>(s, d, qkv, o, lse)
  : d.head_dim <= 128 ? run<128>(s, d, qkv, o, lse)
                      : run<256>(s, d, qkv, o, lse);
}

}  // namespace haze::kernels
