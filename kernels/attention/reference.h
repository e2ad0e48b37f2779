// SPDX-License-Identifier: MIT
// reference.h — attention as the formula reads, in T (double in the tests).
#pragma once
#include <cmath>
#include <vector>

#include "kernels/attention/attention.h"

namespace haze::kernels::reference {

/// Index in qkv of element 0 of q of one image's token and head; add k_offset or v_offset, and c.
inline std::size_t qkv_index(const AttentionDims& d, int n, int token, int head) {
  return (std::size_t(n) * d.tokens + token) * 3 * d.channels() + std::size_t(head) * d.head_stride;
}
/// Index in o of the same.
inline std::size_t out_index(const AttentionDims& d, int n, int token, int head) {
  return (std::size_t(n) * d.tokens + token) * d.channels() + std::size_t(head) * d.head_dim;
}

/// P [tokens, tokens] of one image and head: each row softmax(q_i·k_j / sqrt(head_dim)) over j.
/// Sets lse [tokens] where not null.
template <class T>
std::vector<T> probabilities(const AttentionDims& d, int n, int head, const T* qkv, T* lse) {
  std::vector<T> p(std::size_t(d.tokens) * d.tokens);
  for (int i = 0; i < d.tokens; ++i) {
    T* row = p.data() + std::size_t(i) * d.tokens;
    T largest = -INFINITY, sum = 0;
    for (int j = 0; j < d.tokens; ++j) {
      const T* q = qkv + qkv_index(d, n, i, head);
      const T* k = qkv + qkv_index(d, n, j, head) + d.k_offset;
      T dot = 0;
      for (int c = 0; c < d.head_dim; ++c) dot += q[c] * k[c];
      row[j] = dot / std::sqrt(T(d.head_dim));
      largest = row[j] > largest ? row[j] : largest;
    }
    for (int j = 0; j < d.tokens; ++j) sum += row[j] = std::exp(row[j] - largest);
    for (int j = 0; j < d.tokens; ++j) row[j] /= sum;
    if (lse) lse[i] = largest + std::log(sum);
  }
  return p;
}

/// o [n,tokens,C] and lse [n,heads,tokens].
template <class T>
void attention_forward(const AttentionDims& d, const T* qkv, T* o, T* lse) {
  for (int n = 0; n < d.n; ++n)
    for (int h = 0; h < d.heads; ++h) {
      const auto p = probabilities(d, n, h, qkv, lse + (std::size_t(n) * d.heads + h) * d.tokens);
      for (int i = 0; i < d.tokens; ++i)
        for (int c = 0; c < d.head_dim; ++c) {
          T sum = 0;
          for (int j = 0; j < d.tokens; ++j)
            sum += p[std::size_t(i) * d.tokens + j] * qkv[qkv_index(d, n, j, h) + d.v_offset + c];
          o[out_index(d, n, i, h) + c] = sum;
        }
    }
}

/// Adds (+=) into dqkv [n,tokens,3C].
template <class T>
void attention_backward(const AttentionDims& d, const T* qkv, const T* dout, T* dqkv) {
  for (int n = 0; n < d.n; ++n)
    for (int h = 0; h < d.heads; ++h) {
      const auto p = probabilities<T>(d, n, h, qkv, nullptr);
      for (int i = 0; i < d.tokens; ++i) {
        const T* row = p.data() + std::size_t(i) * d.tokens;
        const T* dy = dout + out_index(d, n, i, h);
        std::vector<T> dp(std::size_t(d.tokens));  // d(loss)/d(P_ij)
        T mean = 0;                                // sum_j P_ij dp_j, what softmax subtracts
        for (int j = 0; j < d.tokens; ++j) {
          const T* v = qkv + qkv_index(d, n, j, h) + d.v_offset;
          for (int c = 0; c < d.head_dim; ++c) dp[std::size_t(j)] += dy[c] * v[c];
          mean += row[j] * dp[std::size_t(j)];
        }
        const std::size_t at_i = qkv_index(d, n, i, h);
        for (int j = 0; j < d.tokens; ++j) {
          const std::size_t at_j = qkv_index(d, n, j, h);
          const T ds = row[j] * (dp[std::size_t(j)] - mean) / std::sqrt(T(d.head_dim));
          for (int c = 0; c < d.head_dim; ++c) {
            dqkv[at_i + c] += ds * qkv[at_j + d.k_offset + c];
            dqkv[at_j + d.k_offset + c] += ds * qkv[at_i + c];
            dqkv[at_j + d.v_offset + c] += row[j] * dy[c];
          }
        }
      }
    }
}

}  // namespace haze::kernels::reference
