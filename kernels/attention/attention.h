// SPDX-License-Identifier: MIT
// attention.h — contract of scaled dot-product attention (Vaswani et al., "Attention Is All You
// Need", 2017), forward and backward without a stored score matrix (Dao et al., "FlashAttention",
// 2022): backward computes the scores again from q, k and the rows' log-sum-exp.
#pragma once
#include <compare>
#include <cstddef>

#include "kernels/base/dtype.h"

namespace haze::kernels {

/// One call. qkv is a fused projection [n, tokens, 3C] with C = heads·head_dim; element c of token
/// t of head h of image i lies at (i·tokens + t)·3C + h·head_stride + c, plus k_offset or v_offset
/// for k and v.
struct AttentionDims {
  int n, tokens, heads, head_dim;
  int head_stride, k_offset, v_offset;
  auto operator<=>(const AttentionDims&) const = default;

  /// [head][q|k|v][d]
  static AttentionDims per_head(int n, int tokens, int heads, int head_dim) {
    return {n, tokens, heads, head_dim, 3 * head_dim, head_dim, 2 * head_dim};
  }
  /// [q|k|v][head][d]
  static AttentionDims global(int n, int tokens, int heads, int head_dim) {
    const int c = heads * head_dim;
    return {n, tokens, heads, head_dim, head_dim, c, 2 * c};
  }
  int channels() const { return heads * head_dim; }
};

/// Bytes of scratch for one call with activations of `type`; at most three floats per row of scores
/// grow with n. The CPU backend counts OpenMP's threads: ask right before the call.
template <class S>
std::size_t attention_forward_scratch_bytes(S stream, const AttentionDims& d, DType type);
template <class S>
std::size_t attention_backward_scratch_bytes(S stream, const AttentionDims& d, DType type);

/// Per image and head, with s = head_dim^-1/2 and rows i, j of q, k, v [tokens, head_dim]:
///   lse_i = log sum_j exp(s q_i·k_j)          [n, heads, tokens], always f32
///   o_i   = sum_j exp(s q_i·k_j - lse_i) v_j  [n, tokens, C], heads side by side
/// qkv and o of one type; sums in f32, the largest score subtracted before exp. Overwrites o and
/// lse; o must not overlap qkv. A NaN in q_i, or in any k, makes row i NaN.
template <class S>
void attention_forward(S stream, const AttentionDims& d, ConstAct qkv, Act o, float* lse,
                       void* scratch);

/// dqkv [n, tokens, 3C], laid out as qkv, from dout = d(loss)/d(o), with P_ij = exp(s q_i·k_j -
/// lse_i):
///   dv_j = sum_i P_ij dout_i
///   dS_ij = s P_ij (dout_i·v_j - dout_i·o_i)
///   dq_i = sum_j dS_ij k_j,   dk_j = sum_i dS_ij q_i
/// All activations of one type; sums in f32. o and lse are attention_forward's. Each row of P is
/// made to sum to one, which lse, rounded to f32, does not give for large scores. dqkv must not
/// overlap qkv. The result does not depend on n or the number of threads.
template <class S>
void attention_backward(S stream, const AttentionDims& d, ConstAct qkv, ConstAct o,
                        const float* lse, ConstAct dout, Grad dqkv, void* scratch);

}  // namespace haze::kernels
