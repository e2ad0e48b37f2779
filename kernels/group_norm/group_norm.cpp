// group_norm.cpp — CPU backend.
//
//   mapping   Rows of c channels are contiguous and a group may be a single channel, so every loop
//             runs over pixels × all channels with one accumulator per channel; channels meet in
//             their group only at the end of an image. An image is cut into chunks of pixels.
//   threads   One image per thread, so that its second pass finds it in L2; with few images, the
//             chunks of one image are shared out. The chunks, and the order in which their sums are
//             added, follow from the shape alone: the result does not depend on the thread count.
//   variance  Per chunk and channel the mean, measured from the chunk's first pixel so that a large
//             offset costs no digits; then Σ(x-mean)², with the chunk (at most 8192 values) still
//             in L1; then Chan's formula over the chunks in double: Σ(x-m)² = Σ (M2 + P(mean-m)²).
//   backward  Recomputes the normalised value and the sigmoid from x, twice: once for the sums,
//   once
//             for dx. Traffic: x and dy from memory once, from L2 again; dx written once.
#include "kernels/group_norm/group_norm.h"

#include <algorithm>
#include <cmath>
#include <omp.h>

#include "kernels/common/math.h"
#include "kernels/common/stream.h"

namespace haze::kernels {
namespace {

constexpr int kRows =
    4;  // pixels per turn of the inner loops, sharing one load of the coefficients

/// How one call is cut up, and where its scratch lies.
struct Plan {
  explicit Plan(const GroupNormDims& d) : n(d.n), hw(d.hw), c(d.c) {
    const int target = std::clamp(4096 / c, 8, 128);
    chunks = (hw + target - 1) / target;
    const int threads = omp_get_max_threads();
    share_images = threads > 1 && n < 2 * threads && n % threads != 0;
    doubles = 2 * std::size_t(c);
    stride = doubles * sizeof(double) + (2 * std::size_t(chunks) + 4) * c * sizeof(float);
    stride = (stride + 63) / 64 * 64;
  }
  int first(int chunk) const { return int(std::int64_t(hw) * chunk / chunks); }

  int n, hw, c, chunks;
  bool share_images;  // all threads on one image at a time
  std::size_t doubles, stride;
};

/// The scratch of one image: per-channel totals, coefficients and the sums of each chunk.
struct Workspace {
  Workspace(const Plan& plan, void* scratch, int n)
      : totals(reinterpret_cast<double*>(static_cast<char*>(scratch) + plan.stride * n)),
        coefficients(reinterpret_cast<float*>(totals + plan.doubles)),
        sums(coefficients + 4 * std::size_t(plan.c)),
        c(std::size_t(plan.c)) {}
  double* total(int which) const { return totals + which * c; }             // which: 0, 1
  float* coefficient(int which) const { return coefficients + which * c; }  // which: 0 .. 3
  float* sum(int chunk, int which) const { return sums + (2 * chunk + which) * c; }

  double* totals;
  float *coefficients, *sums;
  std::size_t c;
};

template <class F>
void each_image(const Plan& plan, F f) {
  if (plan.share_images) {
    for (int n = 0; n < plan.n; ++n) f(n);
    return;
  }
#pragma omp parallel for schedule(static)
  for (int n = 0; n < plan.n; ++n) f(n);
}

/// Calls f(chunk, its first pixel, its number of pixels).
template <class F>
void each_chunk(const Plan& plan, F f) {
  const auto one = [&](int k) { f(k, plan.first(k), plan.first(k + 1) - plan.first(k)); };
  if (!plan.share_images || plan.chunks == 1) {
    for (int k = 0; k < plan.chunks; ++k) one(k);
    return;
  }
#pragma omp parallel for schedule(static)
  for (int k = 0; k < plan.chunks; ++k) one(k);
}

// ---- loops over one chunk: kRows pixels at a time, all channels
// ----------------------------------

/// Calls f.template operator()<rows>(pixel): kRows pixels at a time, then the rest one by one.
template <class F>
[[gnu::always_inline]] inline void each_rows(int first, int pixels, F&& f) {
  int p = first;
  for (; p + kRows <= pixels; p += kRows) f.template operator()<kRows>(p);
  for (; p < pixels; ++p) f.template operator()<1>(p);
}

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

template <bool swish, class T>
void normalise(int pixels, int c, const T* x, const float* mean, const float* scale,
               const float* beta, T* y) {
  each_rows(0, pixels, [&]<int rows>(int p) {
    const T* row = x + std::size_t(p) * c;
    T* out = y + std::size_t(p) * c;
#pragma omp simd
    for (int i = 0; i < c; ++i) {
      const float m = mean[i], a = scale[i], b = beta[i];
#pragma GCC unroll 4
      for (int q = 0; q < rows; ++q) {
        const std::size_t at = std::size_t(q) * c + i;
        const float z = std::fma(float(row[at]) - m, a, b);
        out[at] = swish ? z * sigmoid_f32(z) : z;
      }
    }
  });
}

/// d(loss)/dz from d(loss)/dy.
template <bool swish>
[[gnu::always_inline]] inline float through_swish(float dy, float z) {
  if (!swish) return dy;
  const float s = sigmoid_f32(z);
  return dy * s * std::fma(z, 1.0f - s, 1.0f);
}

/// sum = Σdz, product = Σ dz·(x-mean) per channel.
template <bool swish, class T>
void gradient_sums(int pixels, int c, const T* dy, const T* x, const float* mean,
                   const float* scale, const float* beta, float* sum, float* product) {
  std::fill_n(sum, c, 0.f);
  std::fill_n(product, c, 0.f);
  each_rows(0, pixels, [&]<int rows>(int p) {
    const T *row = x + std::size_t(p) * c, *grad = dy + std::size_t(p) * c;
#pragma omp simd
    for (int i = 0; i < c; ++i) {
      float s = sum[i], t = product[i];
#pragma GCC unroll 4
      for (int q = 0; q < rows; ++q) {
        const std::size_t at = std::size_t(q) * c + i;
        const float e = float(row[at]) - mean[i];
        const float dz = through_swish<swish>(float(grad[at]), std::fma(e, scale[i], beta[i]));
        s += dz;
        t = std::fma(dz, e, t);
      }
      sum[i] = s;
      product[i] = t;
    }
  });
}

/// dx = scale·dz + slope·(x-mean) + constant, per channel.
template <bool swish, bool adds, class T>
void input_gradient(int pixels, int c, const T* dy, const T* x, const float* mean,
                    const float* scale, const float* beta, const float* slope,
                    const float* constant, T* dx) {
  each_rows(0, pixels, [&]<int rows>(int p) {
    const T *row = x + std::size_t(p) * c, *grad = dy + std::size_t(p) * c;
    T* out = dx + std::size_t(p) * c;
#pragma omp simd
    for (int i = 0; i < c; ++i) {
#pragma GCC unroll 4
      for (int q = 0; q < rows; ++q) {
        const std::size_t at = std::size_t(q) * c + i;
        const float e = float(row[at]) - mean[i];
        const float dz = through_swish<swish>(float(grad[at]), std::fma(e, scale[i], beta[i]));
        const float v = std::fma(scale[i], dz, std::fma(slope[i], e, constant[i]));
        out[at] = adds ? float(out[at]) + v : v;
      }
    }
  });
}

// ---- per image
// -----------------------------------------------------------------------------------

/// From the chunks' moments to mean and rstd [groups] of one image, by Chan's formula in double.
template <class T>
void statistics(const GroupNormDims& d, const Plan& plan, const Workspace& w, const T* x,
                float* mean, float* rstd) {
  const int c = d.c, per_group = d.c / d.groups;
  const double size = double(d.hw) * per_group;
  double *total = w.total(0), *squares = w.total(1);
  std::fill_n(total, 2 * std::size_t(c), 0.0);
  for (int k = 0; k < plan.chunks; ++k) {
    const double pixels = plan.first(k + 1) - plan.first(k);
    const T* shift = x + std::size_t(plan.first(k)) * c;
    const float* offset = w.sum(k, 0);
#pragma omp simd
    for (int i = 0; i < c; ++i) total[i] += pixels * (double(float(shift[i])) + double(offset[i]));
  }
  for (int g = 0; g < d.groups; ++g) {
    double *first = total + g * per_group, *last = first + per_group, sum = 0;
    for (const double* at = first; at < last; ++at) sum += *at;
    std::fill(first, last, sum / size);
    mean[g] = float(sum / size);
  }
  for (int k = 0; k < plan.chunks; ++k) {
    const double pixels = plan.first(k + 1) - plan.first(k);
    const T* shift = x + std::size_t(plan.first(k)) * c;
    const float *offset = w.sum(k, 0), *square = w.sum(k, 1);
#pragma omp simd
    for (int i = 0; i < c; ++i) {
      const double apart = double(float(shift[i])) + double(offset[i]) - total[i];
      squares[i] += double(square[i]) + pixels * apart * apart;
    }
  }
  for (int g = 0; g < d.groups; ++g) {
    double sum = 0;
    for (int i = g * per_group; i < (g + 1) * per_group; ++i) sum += squares[i];
    rstd[g] = float(1 / std::sqrt(sum / size + double(d.eps)));
  }
}

/// mean and gamma·rstd per channel: coefficients 0 and 1.
void spread_statistics(const GroupNormDims& d, const Workspace& w, const float* gamma,
                       const float* mean, const float* rstd) {
  const int per_group = d.c / d.groups;
  for (int g = 0, i = 0; g < d.groups; ++g)
    for (const int end = i + per_group; i < end; ++i) {
      w.coefficient(0)[i] = mean[g];
      w.coefficient(1)[i] = gamma[i] * rstd[g];
    }
}

/// Totals of one image's channels from its chunks: Σdz and d(loss)/d(gamma); then what dx adds to
/// scale·dz: coefficients 2 (slope on x-mean) and 3 (constant).
void gradient_coefficients(const GroupNormDims& d, const Plan& plan, const Workspace& w,
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
void deliver_totals(const Plan& plan, void* scratch, int which, Grad to) {
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
void forward(const GroupNormDims& d, const T* x, const float* gamma, const float* beta, T* y,
             float* mean, float* rstd, void* scratch) {
  const Plan plan(d);
  each_image(plan, [&](int n) {
    const Workspace w(plan, scratch, n);
    const std::size_t image = std::size_t(n) * d.hw * d.c;
    float *m = mean + std::size_t(n) * d.groups, *r = rstd + std::size_t(n) * d.groups;
    each_chunk(plan, [&](int k, int first, int pixels) {
      moments(pixels, d.c, x + image + std::size_t(first) * d.c, w.sum(k, 0), w.sum(k, 1));
    });
    statistics(d, plan, w, x + image, m, r);
    spread_statistics(d, w, gamma, m, r);
    each_chunk(plan, [&](int, int first, int pixels) {
      const std::size_t at = image + std::size_t(first) * d.c;
      normalise<swish>(pixels, d.c, x + at, w.coefficient(0), w.coefficient(1), beta, y + at);
    });
  });
}

template <bool swish, class T>
void backward(const GroupNormDims& d, const T* dy, const T* x, const float* gamma,
              const float* beta, const float* mean, const float* rstd, Grad dx, Grad dgamma,
              Grad dbeta, void* scratch) {
  const Plan plan(d);
  T* out = dx ? dx.as<T>() : nullptr;
  each_image(plan, [&](int n) {
    const Workspace w(plan, scratch, n);
    const float *m = mean + std::size_t(n) * d.groups, *r = rstd + std::size_t(n) * d.groups;
    const std::size_t image = std::size_t(n) * d.hw * d.c;
    const float *center = w.coefficient(0), *scale = w.coefficient(1);
    spread_statistics(d, w, gamma, m, r);
    each_chunk(plan, [&](int k, int first, int pixels) {
      const std::size_t at = image + std::size_t(first) * d.c;
      gradient_sums<swish>(pixels, d.c, dy + at, x + at, center, scale, beta, w.sum(k, 0),
                           w.sum(k, 1));
    });
    gradient_coefficients(d, plan, w, gamma, r);
    if (!out) return;
    each_chunk(plan, [&](int, int first, int pixels) {
      const std::size_t at = image + std::size_t(first) * d.c;
      const auto run = dx.adds() ? input_gradient<swish, true, T> : input_gradient<swish, false, T>;
      run(pixels, d.c, dy + at, x + at, center, scale, beta, w.coefficient(2), w.coefficient(3),
          out + at);
    });
  });
  deliver_totals(plan, scratch, 0, dbeta);
  deliver_totals(plan, scratch, 1, dgamma);
}

void check(const GroupNormDims& d) {
  HAZE_CHECK(d.n > 0 && d.hw > 0 && d.c > 0, "n=", d.n, " hw=", d.hw, " c=", d.c);
  HAZE_CHECK(d.groups > 0 && d.c % d.groups == 0, "groups must divide C: C=", d.c,
             " groups=", d.groups);
}

/// Calls f(bool constant) with what `swish` says.
template <class F>
void choose(bool swish, F f) {
  swish ? f(std::true_type{}) : f(std::false_type{});
}

}  // namespace

template <>
std::size_t group_norm_scratch_bytes(CpuStream, const GroupNormDims& d) {
  check(d);
  return Plan(d).stride * std::size_t(d.n);
}

template <>
void group_norm_forward(CpuStream, const GroupNormDims& d, ConstAct x, const float* gamma,
                        const float* beta, Act y, float* mean, float* rstd, void* scratch) {
  check(d);
  dispatch(x.dtype, [&]<class T>(T) {
    choose(d.swish, [&](auto swish) {
      forward<swish>(d, x.as<T>(), gamma, beta, y.as<T>(), mean, rstd, scratch);
    });
  });
}

template <>
void group_norm_backward(CpuStream, const GroupNormDims& d, ConstAct dy, ConstAct x,
                         const float* gamma, const float* beta, const float* mean,
                         const float* rstd, Grad dx, Grad dgamma, Grad dbeta, void* scratch) {
  check(d);
  dispatch(x.dtype, [&]<class T>(T) {
    choose(d.swish, [&](auto swish) {
      backward<swish>(d, dy.as<T>(), x.as<T>(), gamma, beta, mean, rstd, dx, dgamma, dbeta,
                      scratch);
    });
  });
}

}  // namespace haze::kernels
