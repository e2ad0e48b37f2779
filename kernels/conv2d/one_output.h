// SPDX-License-Identifier: MIT
// one_output.h — CPU backend: convolutions to one channel (the last layer on grey images), where
// oneDNN would fill its vectors of output channels with 15 zeros. Here the vectors run along the
// input: one row of the kernel meets kw·ci contiguous numbers of x and as many of w. Three times as
// fast in f32, and for the gradient of the weights also in bf16; with three channels no longer.
// Included by conv2d.cpp only.
#pragma once
#include <algorithm>
#include <cstddef>

#include "kernels/conv2d/conv2d.h"

namespace haze::kernels::one_output {

inline bool suits(const Conv2dDims& d) { return d.co == 1 && d.kw * d.ci >= 32; }

/// The kernel's columns [from, to) that lie in the image when it stands at output column q.
struct Columns {
  int from, to, x;  // x: the image's column under `from`
  bool whole;
  Columns(const Conv2dDims& d, int q)
      : from(std::max(0, d.pad_left - q * d.stride)),
        to(std::min(d.kw, d.w + d.pad_left - q * d.stride)),
        x(q * d.stride - d.pad_left + from),
        whole(from == 0 && to == d.kw) {}
};

/// sum[j] += Σ_i x[i + j·step] w[i] for four neighbouring output pixels.
template <class T>
void dot4(std::size_t n, const T* x, std::size_t step, const T* w, float* sum) {
  const T *x1 = x + step, *x2 = x1 + step, *x3 = x2 + step;
  float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
  for (std::size_t i = 0; i < n; ++i) {
    const float f = w[i];
    s0 += f * float(x[i]);
    s1 += f * float(x1[i]);
    s2 += f * float(x2[i]);
    s3 += f * float(x3[i]);
  }
  sum[0] += s0, sum[1] += s1, sum[2] += s2, sum[3] += s3;
}

template <class T>
float dot(std::size_t n, const T* x, const T* w) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::size_t i = 0; i < n; ++i) sum += float(x[i]) * float(w[i]);
  return sum;
}

/// bias [1], per_channel [n] and residual [n,ho,wo] may be null.
template <class T>
void forward(const Conv2dDims& d, const T* x, const T* w, const float* bias, const T* per_channel,
             const T* residual, T* y) {
  const int ho = d.ho(), wo = d.wo();
  const std::size_t row = std::size_t(d.kw) * d.ci, step = std::size_t(d.stride) * d.ci;
#pragma omp parallel for collapse(2) schedule(static)
  for (int n = 0; n < d.n; ++n)
    for (int p = 0; p < ho; ++p)
      for (int q = 0, count; q < wo; q += count) {
        const Columns c(d, q);
        count = c.whole && q + 3 < wo && Columns(d, q + 3).whole ? 4 : 1;
        float sum[4] = {};
        for (int r = 0; r < d.kh; ++r) {
          const int line = p * d.stride - d.pad_top + r;
          if (line < 0 || line >= d.h || c.from >= c.to) continue;
          const T* in = x + ((std::size_t(n) * d.h + line) * d.w + c.x) * d.ci;
          const T* weight = w + r * row + std::size_t(c.from) * d.ci;
          if (count == 4)
            dot4(row, in, step, weight, sum);
          else
            sum[0] += dot(std::size_t(c.to - c.from) * d.ci, in, weight);
        }
        float add = bias ? *bias : 0.f;
        if (per_channel) add += float(per_channel[n]);
        for (int j = 0; j < count; ++j) {
          const std::size_t to = (std::size_t(n) * ho + p) * wo + q + j;
          y[to] = sum[j] + add + (residual ? float(residual[to]) : 0.f);
        }
      }
}

/// Rows of output pixels are cut into the same chunks whatever the number of threads.
constexpr int kChunks = 64;

/// sums[k] = the k-th chunk's part of dw [kh,kw,ci]; returns the number of chunks.
template <class T>
int backward_weights(const Conv2dDims& d, const T* x, const T* dy, float* sums) {
  const int ho = d.ho(), wo = d.wo(), rows = d.n * ho, chunk = (rows + kChunks - 1) / kChunks;
  const int chunks = (rows + chunk - 1) / chunk;
  const std::size_t row = std::size_t(d.kw) * d.ci;
#pragma omp parallel for schedule(static)
  for (int k = 0; k < chunks; ++k) {
    float* dw = sums + k * d.kh * row;
    std::fill_n(dw, d.kh * row, 0.f);
    for (int j = k * chunk; j < std::min(rows, (k + 1) * chunk); ++j)
      for (int r = 0; r < d.kh; ++r) {
        const int line = j % ho * d.stride - d.pad_top + r;
        if (line < 0 || line >= d.h) continue;
        for (int q = 0; q < wo; ++q) {
          const Columns c(d, q);
          if (c.from >= c.to) continue;
          const T* in = x + ((std::size_t(j / ho) * d.h + line) * d.w + c.x) * d.ci;
          float* to = dw + r * row + std::size_t(c.from) * d.ci;
          const float g = dy[std::size_t(j) * wo + q];
          const int count = (c.to - c.from) * d.ci;
#pragma omp simd
          for (int i = 0; i < count; ++i) to[i] += g * float(in[i]);
        }
      }
  }
  return chunks;
}

}  // namespace haze::kernels::one_output
