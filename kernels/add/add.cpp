// SPDX-License-Identifier: MIT
// add.cpp — CPU backend. Bandwidth-bound: one pass, vectorised by the compiler, rows of C elements
// so that NHWC accesses stay contiguous.
#include "kernels/add/add.h"

#include <algorithm>

#include "kernels/base/stream.h"
#include "kernels/cpu/loops.h"

namespace haze::kernels {
namespace {

template <class T>
void add(std::size_t n, const T* a, const T* b, T* y) {
#pragma omp parallel for simd schedule(static)
  for (std::size_t i = 0; i < n; ++i) y[i] = float(a[i]) + float(b[i]);
}

template <class T>
void add_channel(const AddChannelDims& d, const T* x, const T* v, T* y) {
#pragma omp parallel for collapse(2) schedule(static)
  for (int n = 0; n < d.n; ++n)
    for (int p = 0; p < d.hw; ++p) {
      const T* row = x + (std::size_t(n) * d.hw + p) * d.c;
      const T* add = v + std::size_t(n) * d.c;
      T* out = y + (std::size_t(n) * d.hw + p) * d.c;
#pragma omp simd
      for (int c = 0; c < d.c; ++c) out[c] = float(row[c]) + float(add[c]);
    }
}

/// Channels whose sums lie on the stack at a time.
constexpr int kSumTile = 1024;

template <class T, class G>
void sum_pixels(const AddChannelDims& d, const T* dy, G* dv, bool adds) {
#pragma omp parallel for schedule(static)
  for (int n = 0; n < d.n; ++n)
    for (int first = 0; first < d.c; first += kSumTile) {
      const int channels = std::min(kSumTile, d.c - first);
      float sum[kSumTile];
      std::fill_n(sum, channels, 0.f);
      for (int p = 0; p < d.hw; ++p) {
        const T* row = dy + (std::size_t(n) * d.hw + p) * d.c + first;
#pragma omp simd
        for (int c = 0; c < channels; ++c) sum[c] += float(row[c]);
      }
      G* out = dv + std::size_t(n) * d.c + first;
      for (int c = 0; c < channels; ++c) out[c] = adds ? float(out[c]) + sum[c] : sum[c];
    }
}

}  // namespace

template <>
void add_forward(CpuStream, std::size_t n, ConstAct a, ConstAct b, Act y) {
  dispatch(y.dtype, [&]<class T>(T) { add(n, a.as<T>(), b.as<T>(), y.as<T>()); });
}

template <>
void deliver(CpuStream, std::size_t n, ConstAct from, Grad to) {
  dispatch(from.dtype, [&]<class F>(F) {
    dispatch(to.dtype, [&]<class T>(T) { loops::deliver(n, from.as<F>(), to.as<T>(), to.adds()); });
  });
}

template <>
void add_channel_forward(CpuStream, const AddChannelDims& d, ConstAct x, ConstAct v, Act y) {
  dispatch(y.dtype, [&]<class T>(T) { add_channel(d, x.as<T>(), v.as<T>(), y.as<T>()); });
}

template <>
void add_channel_backward(CpuStream, const AddChannelDims& d, ConstAct dy, Grad dv) {
  dispatch(dy.dtype, [&]<class T>(T) {
    dispatch(dv.dtype, [&]<class G>(G) { sum_pixels(d, dy.as<T>(), dv.as<G>(), dv.adds()); });
  });
}

}  // namespace haze::kernels
