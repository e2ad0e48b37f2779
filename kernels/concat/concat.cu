// SPDX-License-Identifier: MIT
// concat.cu — CUDA version. Bandwidth-bound: a thread copies 16 bytes, read once and written once,
// in the order of the joint tensor, so that the wider side is always contiguous.
#include "kernels/concat/concat.h"
#include "kernels/cuda/rows.h"

namespace haze::kernels {
namespace {

template <class T, int N>
__global__ void __launch_bounds__(kVecThreads) join(ConcatDims d, const T* a, const T* b, T* y) {
  const unsigned wide_a = unsigned(d.ca / N), wide_b = unsigned(d.cb / N), wide = wide_a + wide_b;
  for_each_vec(d.pixels, wide, [&](std::size_t p, unsigned i) {
    const T* from = i < wide_a ? a + (p * wide_a + i) * N : b + (p * wide_b + i - wide_a) * N;
    store(y + (p * wide + i) * N, load<N>(from));
  });
}

template <class T, int N>
__global__ void __launch_bounds__(kVecThreads)
    split(ConcatDims d, const T* dy, T* da, bool adds_a, T* db, bool adds_b) {
  const unsigned wide_a = unsigned(d.ca / N), wide_b = unsigned(d.cb / N), wide = wide_a + wide_b;
  for_each_vec(d.pixels, wide, [&](std::size_t p, unsigned i) {
    const bool first = i < wide_a, adds = first ? adds_a : adds_b;
    if (!(first ? da : db)) return;  // not wanted
    T* to = first ? da + (p * wide_a + i) * N : db + (p * wide_b + i - wide_a) * N;
    Vec<T, N> v = load<N>(dy + (p * wide + i) * N);
    if (adds) {
      const Vec<T, N> before = load<N>(to);
#pragma unroll
      for (int k = 0; k < N; ++k) v[k] = float(before[k]) + float(v[k]);
    }
    store(to, v);
  });
}

/// What both channel counts are multiples of, as far as vectors are concerned.
int common_channels(const ConcatDims& d) { return d.ca | d.cb; }

}  // namespace

template <>
void concat_channels_forward(CudaStream s, const ConcatDims& d, ConstAct a, ConstAct b, Act y) {
  dispatch(y.dtype, [&]<class T>(T) {
    channel_vectors<T>(common_channels(d), {a.data, b.data, y.data}, [&]<int N>() {
      HAZE_LAUNCH((join<T, N>), s, vec_blocks(d.pixels, std::size_t(d.ca + d.cb) / N), kVecThreads,
                  0, d, a.as<T>(), b.as<T>(), y.as<T>());
    });
  });
}

template <>
void concat_channels_backward(CudaStream s, const ConcatDims& d, ConstAct dy, Grad da, Grad db) {
  if (!da && !db) return;
  dispatch(dy.dtype, [&]<class T>(T) {
    channel_vectors<T>(common_channels(d), {dy.data, da.data, db.data}, [&]<int N>() {
      HAZE_LAUNCH((split<T, N>), s, vec_blocks(d.pixels, std::size_t(d.ca + d.cb) / N), kVecThreads,
                  0, d, dy.as<T>(), da ? da.as<T>() : nullptr, da.adds(), db ? db.as<T>() : nullptr,
                  db.adds());
    });
  });
}

}  // namespace haze::kernels
