// SPDX-License-Identifier: MIT
// forward.cpp — group normalisation, CPU backend: statistics, then the normalised image.
//
//   variance  Per chunk and channel the mean, measured from the chunk's first pixel so that a large
//             offset costs no digits; then Σ(x-mean)², with the chunk (4096 values, or 8 pixels)
//             still in L1; then Chan's formula over the chunks in double:
//             Σ(x-m)² = Σ over chunks of M2 + P(mean-m)².
//   traffic   x is read from memory once, from L1 and L2 once more each; y is written once.
#include "kernels/group_norm/cpu.h"

namespace haze::kernels {
namespace {

using namespace group_norm_cpu;

/// offset = mean - s and squares = Σ(x-mean)² per channel, s = the first pixel.
template <class T>
void moments(int pixels, int c, const T* x, float* offset, float* squares) {
  std::fill_n(offset, c, 0.f);
  std::fill_n(squares, c, 0.f);
  each_rows(1, pixels, [&]<int rows>(int p) {
    const T* row = x + std::size_t(p) * c;
#pragma omp simd
    for (int i = 0; i < c; ++i) {
      float sum = offset[i];
#pragma GCC unroll 4
      for (int q = 0; q < rows; ++q) sum += float(row[std::size_t(q) * c + i]) - float(x[i]);
      offset[i] = sum;
    }
  });
  const float inverse = 1.0f / float(pixels);
#pragma omp simd
  for (int i = 0; i < c; ++i) offset[i] *= inverse;
  each_rows(0, pixels, [&]<int rows>(int p) {
    const T* row = x + std::size_t(p) * c;
#pragma omp simd
    for (int i = 0; i < c; ++i) {
      float sum = squares[i];
#pragma GCC unroll 4
      for (int q = 0; q < rows; ++q) {
        const float e = float(row[std::size_t(q) * c + i]) - float(x[i]) - offset[i];
        sum = std::fma(e, e, sum);
      }
      squares[i] = sum;
    }
  });
}

/// Of `c` channels of y's `stride`.
template <bool swish, class T>
void normalise(int pixels, int c, int stride, const T* x, const float* mean, const float* scale,
               const float* beta, T* y) {
  each_rows(0, pixels, [&]<int rows>(int p) {
    const T* row = x + std::size_t(p) * c;
    T* out = y + std::size_t(p) * stride;
#pragma omp simd
    for (int i = 0; i < c; ++i) {
      const float m = mean[i], a = scale[i], b = beta[i];
#pragma GCC unroll 4
      for (int q = 0; q < rows; ++q) {
        const float z = std::fma(float(row[std::size_t(q) * c + i]) - m, a, b);
        out[std::size_t(q) * stride + i] = swish ? z * sigmoid_f32(z) : z;
      }
    }
  });
}

/// From the chunks' moments to mean and rstd [groups] of one image, by Chan's formula in double.
/// x and x2 are that image's.
template <class T>
void statistics(const GroupNormDims& d, const ChunkPlan& plan, const Workspace& w, const T* x,
                const T* x2, float* mean, float* rstd) {
  const int c = d.c, per_group = d.c / d.groups;
  const double size = double(d.hw) * per_group;
  double *total = w.total(0), *squares = w.total(1);
  std::fill_n(total, 2 * std::size_t(c), 0.0);
  for (int k = 0; k < plan.chunks; ++k) {
    const double pixels = plan.first(k + 1) - plan.first(k);
    each_span(d, x, x2, [&](ChannelSpan span, const T* of) {
      const T* shift = of + span.own(std::size_t(plan.first(k)));
      const float* offset = w.sum(k, 0) + span.first;
      double* to = total + span.first;
#pragma omp simd
      for (int i = 0; i < span.channels; ++i)
        to[i] += pixels * (double(float(shift[i])) + double(offset[i]));
    });
  }
  for (int g = 0; g < d.groups; ++g) {
    double *first = total + g * per_group, *last = first + per_group, sum = 0;
    for (const double* at = first; at < last; ++at) sum += *at;
    std::fill(first, last, sum / size);
    mean[g] = float(sum / size);
  }
  for (int k = 0; k < plan.chunks; ++k) {
    const double pixels = plan.first(k + 1) - plan.first(k);
    each_span(d, x, x2, [&](ChannelSpan span, const T* of) {
      const T* shift = of + span.own(std::size_t(plan.first(k)));
      const float *offset = w.sum(k, 0) + span.first, *square = w.sum(k, 1) + span.first;
      const double* center = total + span.first;
      double* to = squares + span.first;
#pragma omp simd
      for (int i = 0; i < span.channels; ++i) {
        const double difference = double(float(shift[i])) + double(offset[i]) - center[i];
        to[i] += double(square[i]) + pixels * difference * difference;
      }
    });
  }
  for (int g = 0; g < d.groups; ++g) {
    double sum = 0;
    for (int i = g * per_group; i < (g + 1) * per_group; ++i) sum += squares[i];
    rstd[g] = float(1 / std::sqrt(sum / size + double(d.eps)));
  }
}

template <bool swish, class T>
void forward(const GroupNormDims& d, const T* x, const T* x2, const float* gamma, const float* beta,
             T* y, float* mean, float* rstd, void* scratch) {
  const ChunkPlan plan(d);
  each_image(plan, [&](int n, int) {
    const Workspace w(plan, scratch, n);
    const std::size_t image = std::size_t(n) * d.hw;
    float *m = mean + std::size_t(n) * d.groups, *r = rstd + std::size_t(n) * d.groups;
    each_chunk(plan, [&](int k, int first, int pixels) {
      each_span(d, x, x2, [&](ChannelSpan span, const T* of) {
        moments(pixels, span.channels, of + span.own(image + first), w.sum(k, 0) + span.first,
                w.sum(k, 1) + span.first);
      });
    });
    statistics(d, plan, w, x + image * (d.c - d.c2), x2 + image * d.c2, m, r);
    spread_statistics(d, w, gamma, m, r);
    each_chunk(plan, [&](int, int first, int pixels) {
      each_span(d, x, x2, [&](ChannelSpan span, const T* of) {
        normalise<swish>(pixels, span.channels, d.c, of + span.own(image + first),
                         w.coefficient(0) + span.first, w.coefficient(1) + span.first,
                         beta + span.first, y + span.among(image + first, d.c));
      });
    });
  });
}

}  // namespace

template <>
std::size_t group_norm_scratch_bytes(CpuStream, const GroupNormDims& d) {
  check(d);
  return ChunkPlan(d).bytes();
}

template <>
void group_norm_forward(CpuStream, const GroupNormDims& d, Joined<ConstAct> x, const float* gamma,
                        const float* beta, Act y, float* mean, float* rstd, void* scratch) {
  check(d);
  check_joined(d.c, d.c2, x);
  dispatch(y.dtype, [&]<class T>(T) {
    choose(d.swish, [&](auto swish) {
      forward<swish>(d, x.first.as<T>(), d.c2 > 0 ? x.second.as<T>() : nullptr, gamma, beta,
                     y.as<T>(), mean, rstd, scratch);
    });
  });
}

}  // namespace haze::kernels
