// SPDX-License-Identifier: MIT
// upsample.cu — CUDA version. Bandwidth-bound: a thread takes one vector of channels of a pixel of
// x and its four copies in y, so that x is read once (forward), or dy is read once (backward).
#include "kernels/cuda/rows.h"
#include "kernels/upsample/upsample.h"

namespace haze::kernels {
namespace {

/// Element of y [n,2h,2w,c] where the upper left copy of vector i of row r of x [n·h, w·c/N] lies.
template <int N>
HAZE_DEVICE std::size_t upper_left(const UpsampleDims& d, std::size_t row, unsigned i) {
  const unsigned wide = unsigned(d.c / N), pixel = i / wide;
  return (row * 2 * (2 * d.w) + 2 * pixel) * d.c + (i - pixel * wide) * N;
}

template <class T, int N>
__global__ void __launch_bounds__(kVecThreads) spread(UpsampleDims d, const T* x, T* y) {
  const unsigned columns = unsigned(d.w * (d.c / N));
  for_each_vec(std::size_t(d.n) * d.h, columns, [&](std::size_t row, unsigned i) {
    const Vec<T, N> v = load<N>(x + (row * columns + i) * N);
    T* upper = y + upper_left<N>(d, row, i);
    T* lower = upper + std::size_t(2 * d.w) * d.c;
    store(upper, v);
    store(upper + d.c, v);
    store(lower, v);
    store(lower + d.c, v);
  });
}

template <class T, int N>
__global__ void __launch_bounds__(kVecThreads)
    gather(UpsampleDims d, const T* dy, T* dx, bool adds) {
  const unsigned columns = unsigned(d.w * (d.c / N));
  for_each_vec(std::size_t(d.n) * d.h, columns, [&](std::size_t row, unsigned i) {
    const T* upper = dy + upper_left<N>(d, row, i);
    const T* lower = upper + std::size_t(2 * d.w) * d.c;
    const Vec<T, N> a = load<N>(upper), b = load<N>(upper + d.c), c = load<N>(lower),
                    e = load<N>(lower + d.c);
    T* to = dx + (row * columns + i) * N;
    Vec<T, N> out{};
    if (adds) out = load<N>(to);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float sum = (float(a[k]) + float(b[k])) + (float(c[k]) + float(e[k]));
      out[k] = adds ? float(out[k]) + sum : sum;
    }
    store(to, out);
  });
}

}  // namespace

template <>
void upsample2x_forward(CudaStream s, const UpsampleDims& d, ConstAct x, Act y) {
  dispatch(y.dtype, [&]<class T>(T) {
    channel_vectors<T>(d.c, {x.data, y.data}, [&]<int N>() {
      const unsigned blocks = vec_blocks(std::size_t(d.n) * d.h, std::size_t(d.w) * (d.c / N));
      HAZE_LAUNCH((spread<T, N>), s, blocks, kVecThreads, 0, d, x.as<T>(), y.as<T>());
    });
  });
}

template <>
void upsample2x_backward(CudaStream s, const UpsampleDims& d, ConstAct dy, Grad dx) {
  if (!dx) return;
  dispatch(dy.dtype, [&]<class T>(T) {
    channel_vectors<T>(d.c, {dy.data, dx.data}, [&]<int N>() {
      const unsigned blocks = vec_blocks(std::size_t(d.n) * d.h, std::size_t(d.w) * (d.c / N));
      HAZE_LAUNCH((gather<T, N>), s, blocks, kVecThreads, 0, d, dy.as<T>(), dx.as<T>(), dx.adds());
    });
  });
}

}  // namespace haze::kernels
