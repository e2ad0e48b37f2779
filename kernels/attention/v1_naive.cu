// SPDX-License-Identifier: MIT
// v1_naive.cu — CUDA, first version: one block per row of the result, the row's scores in shared
// memory. Each of its three kernels is the formula with a loop split over 128 threads:
//   row_of_o    query i: scores of all keys, softmax, o_i = Σ_j P_ij v_j
//   row_of_dq   query i: P and dP of all keys, their mean and 1 / Σ P (both kept),
//               dq_i = Σ_j dS_ij k_j
//   row_of_dkv  key j:   P and dS of all queries, dk_j = Σ_i dS_ij q_i, dv_j = Σ_i P_ij dout_i
// What it lacks: every block reads all keys and values of its head, tokens·d numbers for tokens·d
// multiply-adds, all from cache and with one use each; and no product is on tensor cores.
// forward.cu and backward.cu read them once per 64 rows.
#include "kernels/attention/versions.h"
#include "kernels/base/math.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 128;
constexpr int kForwardTokens = 25'000, kBackwardTokens = 12'500;  // 98 KiB of shared memory

/// Where one row of one image and head is.
struct Row {
  int token;
  std::size_t first;     // of its image and head, in lse
  std::size_t qkv, out;  // token 0's q in qkv; the same in o
  std::ptrdiff_t qkv_stride, out_stride;

  HAZE_HD Row(const AttentionDims& d, unsigned block) {
    const unsigned head = block / unsigned(d.tokens);
    const std::size_t n = head / unsigned(d.heads), h = head % unsigned(d.heads);
    token = int(block % unsigned(d.tokens));
    out_stride = d.heads * d.head_dim;
    qkv_stride = 3 * out_stride;
    first = std::size_t(head) * std::size_t(d.tokens);
    qkv = n * std::size_t(d.tokens) * std::size_t(qkv_stride) + h * std::size_t(d.head_stride);
    out = n * std::size_t(d.tokens) * std::size_t(out_stride) + h * std::size_t(d.head_dim);
  }
};

template <class T>
HAZE_DEVICE float dot(const T* a, const T* b, int n) {
  float sum = 0;
  for (int c = 0; c < n; ++c) sum += float(a[c]) * float(b[c]);
  return sum;
}

/// y[c] = factor·Σ_t weight[t] x[t][c], or added to it.
template <class T>
HAZE_DEVICE void weighted_rows(const float* weight, const T* x, std::ptrdiff_t stride, int tokens,
                               int d, float factor, T* y, bool add) {
  for (int c = int(threadIdx.x); c < d; c += kThreads) {
    float sum = 0;
    for (int t = 0; t < tokens; ++t) sum += weight[t] * float(x[t * stride + c]);
    y[c] = (add ? float(y[c]) : 0.0f) + factor * sum;
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    row_of_o(AttentionDims d, float scale, const T* qkv, T* o, float* lse) {
  HAZE_DYNAMIC_SHARED(float, s);
  HAZE_SHARED(float[32], partial);
  HAZE_SHARED(float[kThreads], tops);
  const Row at(d, blockIdx.x);
  const T* const q = qkv + at.qkv + at.token * at.qkv_stride;
  const T *const k = qkv + at.qkv + d.k_offset, *const v = qkv + at.qkv + d.v_offset;
  const int mine = int(threadIdx.x);
  float top = -INFINITY;
  for (int j = mine; j < d.tokens; j += kThreads) {
    s[j] = dot(q, k + j * at.qkv_stride, d.head_dim);
    top = s[j] > top ? s[j] : top;
  }
  tops[mine] = top;
  __syncthreads();
  for (int i = 0; i < kThreads; ++i) top = tops[i] > top ? tops[i] : top;
  float sum = 0;
  for (int j = mine; j < d.tokens; j += kThreads) {
    s[j] = exp_f32((s[j] - top) * scale);
    sum += s[j];
  }
  sum = block_sum(sum, partial);  // its barriers also publish s
  if (mine == 0) lse[at.first + std::size_t(at.token)] = top * scale + logf(sum);
  weighted_rows(s, v, at.qkv_stride, d.tokens, d.head_dim, 1.0f / sum,
                o + at.out + at.token * at.out_stride, false);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    row_of_dq(AttentionDims d, float scale, const T* qkv, const float* lse, const T* dout, T* dqkv,
              bool add, float* means, float* inverses) {
  HAZE_DYNAMIC_SHARED(float, p);  // [tokens], then dS [tokens]
  HAZE_SHARED(float[32], partial);
  float* const ds = p + d.tokens;
  const Row at(d, blockIdx.x);
  const T* const q = qkv + at.qkv + at.token * at.qkv_stride;
  const T *const k = qkv + at.qkv + d.k_offset, *const v = qkv + at.qkv + d.v_offset;
  const T* const dy = dout + at.out + at.token * at.out_stride;
  const std::size_t row = at.first + std::size_t(at.token);
  float sum = 0, weight = 0;
  for (int j = int(threadIdx.x); j < d.tokens; j += kThreads) {
    p[j] = exp_f32(dot(q, k + j * at.qkv_stride, d.head_dim) * scale - lse[row]);
    ds[j] = dot(dy, v + j * at.qkv_stride, d.head_dim);
    sum += p[j] * ds[j];
    weight += p[j];
  }
  sum = block_sum(sum, partial);
  const float inverse = 1.0f / block_sum(weight, partial), mean = sum * inverse;
  if (threadIdx.x == 0) means[row] = mean, inverses[row] = inverse;
  for (int j = int(threadIdx.x); j < d.tokens; j += kThreads) ds[j] = p[j] * (ds[j] - mean);
  __syncthreads();
  weighted_rows(ds, k, at.qkv_stride, d.tokens, d.head_dim, scale * inverse,
                dqkv + at.qkv + at.token * at.qkv_stride, add);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    row_of_dkv(AttentionDims d, float scale, const T* qkv, const float* lse, const T* dout, T* dqkv,
               bool add, const float* means, const float* inverses) {
  HAZE_DYNAMIC_SHARED(float, p);  // [tokens], then dS [tokens]
  float* const ds = p + d.tokens;
  const Row at(d, blockIdx.x);
  const T *const q = qkv + at.qkv, *const dy = dout + at.out;
  const T* const k = q + d.k_offset + at.token * at.qkv_stride;
  const T* const v = q + d.v_offset + at.token * at.qkv_stride;
  for (int i = int(threadIdx.x); i < d.tokens; i += kThreads) {
    const std::size_t row = at.first + std::size_t(i);
    p[i] = exp_f32(dot(q + i * at.qkv_stride, k, d.head_dim) * scale - lse[row]) * inverses[row];
    ds[i] = p[i] * (dot(dy + i * at.out_stride, v, d.head_dim) - means[row]);
  }
  __syncthreads();
  T* const to = dqkv + at.qkv + at.token * at.qkv_stride;
  weighted_rows(ds, q, at.qkv_stride, d.tokens, d.head_dim, scale, to + d.k_offset, add);
  weighted_rows(p, dy, at.out_stride, d.tokens, d.head_dim, 1.0f, to + d.v_offset, add);
}

unsigned rows_of(const AttentionDims& d) {
  return unsigned(d.n) * unsigned(d.heads) * unsigned(d.tokens);
}
float scale_of(const AttentionDims& d) { return 1.0f / std::sqrt(float(d.head_dim)); }

}  // namespace

void attention_forward_v1(CudaStream s, const AttentionDims& d, ConstAct qkv, Act o, float* lse) {
  HAZE_CHECK(d.tokens <= kForwardTokens, "attention_forward_v1: ", d.tokens, " tokens; at most ",
             kForwardTokens);
  const std::size_t shared = std::size_t(d.tokens) * sizeof(float);
  dispatch(qkv.dtype, [&]<class T>(T) {
    HAZE_LAUNCH((row_of_o<T>), s, rows_of(d), kThreads, shared, d, scale_of(d), qkv.as<T>(),
                o.as<T>(), lse);
  });
}

void attention_backward_v1(CudaStream s, const AttentionDims& d, ConstAct qkv, ConstAct,
                           const float* lse, ConstAct dout, Grad dqkv, void* scratch) {
  HAZE_CHECK(d.tokens <= kBackwardTokens, "attention_backward_v1: ", d.tokens, " tokens; at most ",
             kBackwardTokens);
  const std::size_t shared = 2 * std::size_t(d.tokens) * sizeof(float);
  dispatch(qkv.dtype, [&]<class T>(T) {
    float *const means = static_cast<float*>(scratch), *const inverses = means + rows_of(d);
    HAZE_LAUNCH((row_of_dq<T>), s, rows_of(d), kThreads, shared, d, scale_of(d), qkv.as<T>(), lse,
                dout.as<T>(), dqkv.as<T>(), dqkv.adds(), means, inverses);
    HAZE_LAUNCH((row_of_dkv<T>), s, rows_of(d), kThreads, shared, d, scale_of(d), qkv.as<T>(), lse,
                dout.as<T>(), dqkv.as<T>(), dqkv.adds(), means, inverses);
  });
}

}  // namespace haze::kernels
