// SPDX-License-Identifier: MIT
// upsample.cpp — CPU backend. Bandwidth-bound: one image row of x per task, which is read once
// while its two rows of y are in cache.
#include "kernels/upsample/upsample.h"

#include <algorithm>

#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {

template <class T>
void forward(const UpsampleDims& d, const T* x, T* y) {
  const std::size_t c = std::size_t(d.c), x_row = d.w * c, y_row = 2 * x_row;
  const std::int64_t rows = std::int64_t(d.n) * d.h;
#pragma omp parallel for schedule(static)
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* in = x + r * x_row;
    T* out = y + 2 * r * y_row;
    for (int j = 0; j < d.w; ++j, in += c, out += 2 * c) {
      std::copy_n(in, c, out);
      std::copy_n(in, c, out + c);
    }
    std::copy_n(out - y_row, y_row, out);
  }
}

template <class T, bool kAdd>
void backward(const UpsampleDims& d, const T* dy, T* dx) {
  const std::size_t c = std::size_t(d.c), x_row = d.w * c, y_row = 2 * x_row;
  const std::int64_t rows = std::int64_t(d.n) * d.h;
#pragma omp parallel for schedule(static)
  for (std::int64_t r = 0; r < rows; ++r)
    for (int j = 0; j < d.w; ++j) {
      const T* upper = dy + 2 * r * y_row + 2 * j * c;
      const T* lower = upper + y_row;
      T* out = dx + r * x_row + j * c;
#pragma omp simd
      for (std::size_t k = 0; k < c; ++k) {
        const float sum =
            (float(upper[k]) + float(upper[k + c])) + (float(lower[k]) + float(lower[k + c]));
        out[k] = kAdd ? float(out[k]) + sum : sum;
      }
    }
}

}  // namespace

template <>
void upsample2x_forward(CpuStream, const UpsampleDims& d, ConstAct x, Act y) {
  dispatch(y.dtype, [&]<class T>(T) { forward(d, x.as<T>(), y.as<T>()); });
}

template <>
void upsample2x_backward(CpuStream, const UpsampleDims& d, ConstAct dy, Grad dx) {
  dispatch(dy.dtype, [&]<class T>(T) {
    if (dx.adds())
      backward<T, true>(d, dy.as<T>(), dx.as<T>());
    else
      backward<T, false>(d, dy.as<T>(), dx.as<T>());
  });
}

}  // namespace haze::kernels
