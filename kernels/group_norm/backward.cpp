// SPDX-License-Identifier: MIT
// backward.cpp — group normalisation, CPU backend: the gradients.
//
//   maths     With n = (x-mean)·rstd and dz = d(loss)/dz:  dbeta = Σdz,  dgamma = Σ dz·n,  and over
//             the D values of a group  dx = rstd·(gamma·dz - Σ(gamma·dz)/D - n·Σ(gamma·dz·n)/D).
//   passes    One for the sums, one for dx. Both need dz, and so a sigmoid; for an image that fits
//             in L2 the first pass keeps dz in f32, in dx itself where that is possible.
#include "kernels/group_norm/cpu.h"

namespace haze::kernels {
namespace {

using namespace group_norm_cpu;

/// d(loss)/dz from d(loss)/dy.
template <bool swish>
[[gnu::always_inline]] inline float through_swish(float dy, float z) {
  if (!swish) return dy;
  const float s = sigmoid_f32(z);
  return dy * s * std::fma(z, 1.0f - s, 1.0f);
}

/// sum = Σdz, product = Σ dz·(x-mean) per channel, of `c` channels of dy's `stride`. Writes dz, of
/// that stride too, if it is to be kept.
template <bool swish, bool keeps, class T>
void gradient_sums(int pixels, int c, int stride, const T* dy, const T* x, const float* mean,
                   const float* scale, const float* beta, float* sum, float* product, float* dz) {
  std::fill_n(sum, c, 0.f);
  std::fill_n(product, c, 0.f);
  each_rows(0, pixels, [&]<int rows>(int p) {
    const T *row = x + std::size_t(p) * c, *grad = dy + std::size_t(p) * stride;
    float* kept = keeps ? dz + std::size_t(p) * stride : nullptr;
#pragma omp simd
    for (int i = 0; i < c; ++i) {
      float s = sum[i], t = product[i];
#pragma GCC unroll 4
      for (int q = 0; q < rows; ++q) {
        const std::size_t at = std::size_t(q) * stride + i;
        const float e = float(row[std::size_t(q) * c + i]) - mean[i];
        const float g = through_swish<swish>(float(grad[at]), std::fma(e, scale[i], beta[i]));
        s += g;
        t = std::fma(g, e, t);
        if (keeps) kept[at] = g;
      }
      sum[i] = s;
      product[i] = t;
    }
  });
}

/// dx = scale·dz + slope·(x-mean) + constant, per channel, of `c` channels of dy's `stride`.
/// Without swish dy is dz, and may be dx.
template <bool swish, bool adds, class D, class T>
void input_gradient(int pixels, int c, int stride, const D* dy, const T* x, const float* mean,
                    const float* scale, const float* beta, const float* slope,
                    const float* constant, T* dx) {
  each_rows(0, pixels, [&]<int rows>(int p) {
    const T* row = x + std::size_t(p) * c;
    const D* grad = dy + std::size_t(p) * stride;
    T* out = dx + std::size_t(p) * c;
#pragma omp simd
    for (int i = 0; i < c; ++i) {
#pragma GCC unroll 4
      for (int q = 0; q < rows; ++q) {
        const std::size_t at = std::size_t(q) * c + i;
        const float e = float(row[at]) - mean[i];
        const float g = float(grad[std::size_t(q) * stride + i]);
        const float dz = through_swish<swish>(g, std::fma(e, scale[i], beta[i]));
        const float v = std::fma(scale[i], dz, std::fma(slope[i], e, constant[i]));
        out[at] = adds ? float(out[at]) + v : v;
      }
    }
  });
}

/// Totals of one image's channels from its chunks: Σdz and d(loss)/d(gamma); then what dx adds to
/// scale·dz: coefficients 2 (slope on x-mean) and 3 (constant).
void gradient_coefficients(const GroupNormDims& d, const ChunkPlan& plan, const Workspace& w,
                           const float* gamma, const float* rstd) {
  const int c = d.c, per_group = d.c / d.groups;
  const double size = double(d.hw) * per_group;
  double *sum = w.total(0), *product = w.total(1);
  std::fill_n(sum, 2 * std::size_t(c), 0.0);
  for (int k = 0; k < plan.chunks; ++k) {
    const float *s = w.sum(k, 0), *t = w.sum(k, 1);
#pragma omp simd
    for (int i = 0; i < c; ++i) {
      sum[i] += double(s[i]);
      product[i] += double(t[i]);
    }
  }
  for (int g = 0; g < d.groups; ++g) {
    const int first = g * per_group, last = first + per_group;
    const double r = rstd[g];
    double a = 0, b = 0;  // Σ gamma·dz and Σ gamma·dz·(normalised x) over the group
    for (int i = first; i < last; ++i) {
      product[i] *= r;
      a += gamma[i] * sum[i];
      b += gamma[i] * product[i];
    }
    std::fill(w.coefficient(2) + first, w.coefficient(2) + last, float(-r * r * b / size));
    std::fill(w.coefficient(3) + first, w.coefficient(3) + last, float(-r * a / size));
  }
}

/// to[c] = or += the images' totals, in order.
void deliver_totals(const ChunkPlan& plan, void* scratch, int which, Grad to) {
  if (!to) return;
  float* out = to.as<float>();
#pragma omp simd
  for (int i = 0; i < plan.c; ++i) {
    double sum = 0;
    for (int n = 0; n < plan.n; ++n) sum += Workspace(plan, scratch, n).total(which)[i];
    out[i] = float(to.adds() ? double(out[i]) + sum : sum);
  }
}

template <bool swish, class T>
void backward(const GroupNormDims& d, const T* dy, const T* x, const T* x2, const float* gamma,
              const float* beta, const float* mean, const float* rstd, const Joined<Grad>& dx,
              Grad dgamma, Grad dbeta, void* scratch) {
  const ChunkPlan plan(d);
  float* const slots = reinterpret_cast<float*>(static_cast<char*>(scratch) + plan.stride * d.n);
  each_image(plan, [&](int n, int slot) {
    const Workspace w(plan, scratch, n);
    const float *m = mean + std::size_t(n) * d.groups, *r = rstd + std::size_t(n) * d.groups;
    const std::size_t image = std::size_t(n) * d.hw;
    float* dz = dx && plan.kept ? slots + plan.kept * slot : nullptr;
    if constexpr (std::is_same_v<T, float>)
      if (dz && d.c2 == 0 && !dx.first.adds()) dz = dx.first.template as<float>() + image * d.c;

    spread_statistics(d, w, gamma, m, r);
    each_chunk(plan, [&](int k, int first, int pixels) {
      const auto sums = dz ? gradient_sums<swish, true, T> : gradient_sums<swish, false, T>;
      each_span(d, x, x2, [&](ChannelSpan span, const T* of) {
        const int c = span.first;
        sums(pixels, span.channels, d.c, dy + span.among(image + first, d.c),
             of + span.own(image + first), w.coefficient(0) + c, w.coefficient(1) + c, beta + c,
             w.sum(k, 0) + c, w.sum(k, 1) + c,
             dz ? dz + span.among(std::size_t(first), d.c) : nullptr);
      });
    });
    gradient_coefficients(d, plan, w, gamma, r);
    if (!dx) return;
    each_chunk(plan, [&](int, int first, int pixels) {
      each_span(
          d, std::pair(x, dx.first), std::pair(x2, dx.second), [&](ChannelSpan span, auto images) {
            const auto& [of, to] = images;
            if (!to) return;
            const int c = span.first;
            const auto deliver = [&]<bool recomputes, class D>(const D* grad) {
              const auto run = to.adds() ? input_gradient<recomputes, true, D, T>
                                         : input_gradient<recomputes, false, D, T>;
              run(pixels, span.channels, d.c, grad, of + span.own(image + first),
                  w.coefficient(0) + c, w.coefficient(1) + c, beta + c, w.coefficient(2) + c,
                  w.coefficient(3) + c, to.template as<T>() + span.own(image + first));
            };
            if (dz)
              deliver.template operator()<false, float>(dz + span.among(std::size_t(first), d.c));
            else
              deliver.template operator()<swish, T>(dy + span.among(image + first, d.c));
          });
    });
  });
  deliver_totals(plan, scratch, 0, dbeta);
  deliver_totals(plan, scratch, 1, dgamma);
}

}  // namespace

template <>
void group_norm_backward(CpuStream, const GroupNormDims& d, ConstAct dy, Joined<ConstAct> x,
                         const float* gamma, const float* beta, const float* mean,
                         const float* rstd, Joined<Grad> dx, Grad dgamma, Grad dbeta,
                         void* scratch) {
  check(d);
  check_joined(d.c, d.c2, x);
  check_joined(d.c, d.c2, dx);
  dispatch(dy.dtype, [&]<class T>(T) {
    choose(d.swish, [&](auto swish) {
      backward<swish>(d, dy.as<T>(), x.first.as<T>(), d.c2 > 0 ? x.second.as<T>() : nullptr, gamma,
                      beta, mean, rstd, dx, dgamma, dbeta, scratch);
    });
  });
}

}  // namespace haze::kernels
