// SPDX-License-Identifier: MIT
// pool.cpp — CPU backend: an output pixel at a time, its channels in blocks that stay in registers
// while the window's pixels pass by.
#include "kernels/pool/pool.h"

#include <algorithm>
#include <limits>

#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {

constexpr int kBlock = 64;  // channels

/// The larger one; NaN wins over everything.
inline float larger(float a, float b) { return b > a || b != b ? b : a; }

template <bool kMean, class T>
void pool(const PoolDims& d, const T* x, T* y) {
  const std::int64_t rows = std::int64_t(d.n) * d.ho();
#pragma omp parallel for schedule(static)
  for (std::int64_t row = 0; row < rows; ++row) {
    const int p = int(row % d.ho());
    const T* image = x + std::size_t(row / d.ho()) * d.h * d.w * d.c;
    const int top = std::max(0, p * d.stride - d.pad),
              bottom = std::min(d.h, p * d.stride - d.pad + d.side);
    for (int q = 0; q < d.wo(); ++q) {
      const int left = std::max(0, q * d.stride - d.pad),
                right = std::min(d.w, q * d.stride - d.pad + d.side);
      const float share = 1.0f / float((bottom - top) * (right - left));
      T* out = y + (std::size_t(row) * d.wo() + q) * d.c;
      for (int first = 0; first < d.c; first += kBlock) {
        const int count = std::min(kBlock, d.c - first);
        float v[kBlock];
        std::fill_n(v, kBlock, kMean ? 0.f : -std::numeric_limits<float>::infinity());
        for (int i = top; i < bottom; ++i)
          for (int j = left; j < right; ++j) {
            const T* in = image + (std::size_t(i) * d.w + j) * d.c + first;
#pragma omp simd
            for (int c = 0; c < count; ++c)
              v[c] = kMean ? v[c] + float(in[c]) : larger(v[c], float(in[c]));
          }
#pragma omp simd
        for (int c = 0; c < count; ++c) out[first + c] = kMean ? v[c] * share : v[c];
      }
    }
  }
}

}  // namespace

template <>
void pool_forward(CpuStream, const PoolDims& d, Pooling pooling, ConstAct x, Act y) {
  dispatch(y.dtype, [&]<class T>(T) {
    const auto run = pooling == Pooling::mean ? pool<true, T> : pool<false, T>;
    run(d, x.as<T>(), y.as<T>());
  });
}

}  // namespace haze::kernels
