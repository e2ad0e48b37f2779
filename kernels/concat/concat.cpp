// concat.cpp — CPU backend. Bandwidth-bound: one pass, each pixel's channels copied as two runs.
#include "kernels/concat/concat.h"

#include <algorithm>

#include "kernels/common/stream.h"

namespace haze::kernels {
namespace {

template <class T>
void forward(const ConcatDims& d, const T* a, const T* b, T* y) {
  const std::size_t ca = std::size_t(d.ca), cb = std::size_t(d.cb);
#pragma omp parallel for schedule(static)
  for (std::size_t p = 0; p < d.pixels; ++p) {
    T* out = y + p * (ca + cb);
    std::copy_n(a + p * ca, ca, out);
    std::copy_n(b + p * cb, cb, out + ca);
  }
}

template <class T>
void deliver_run(const T* from, std::size_t n, T* to, bool adds) {
  if (!adds) {
    std::copy_n(from, n, to);
    return;
  }
#pragma omp simd
  for (std::size_t i = 0; i < n; ++i) to[i] = float(to[i]) + float(from[i]);
}

template <class T>
void backward(const ConcatDims& d, const T* dy, Grad da, Grad db) {
  const std::size_t ca = std::size_t(d.ca), cb = std::size_t(d.cb);
  T* const to_a = da ? da.as<T>() : nullptr;
  T* const to_b = db ? db.as<T>() : nullptr;
#pragma omp parallel for schedule(static)
  for (std::size_t p = 0; p < d.pixels; ++p) {
    const T* in = dy + p * (ca + cb);
    if (to_a) deliver_run(in, ca, to_a + p * ca, da.adds());
    if (to_b) deliver_run(in + ca, cb, to_b + p * cb, db.adds());
  }
}

}  // namespace

template <>
void concat_channels_forward(CpuStream, const ConcatDims& d, ConstAct a, ConstAct b, Act y) {
  dispatch(y.dtype, [&]<class T>(T) { forward(d, a.as<T>(), b.as<T>(), y.as<T>()); });
}

template <>
void concat_channels_backward(CpuStream, const ConcatDims& d, ConstAct dy, Grad da, Grad db) {
  dispatch(dy.dtype, [&]<class T>(T) { backward(d, dy.as<T>(), da, db); });
}

}  // namespace haze::kernels
