// SPDX-License-Identifier: MIT
// pool.cu — CUDA version. Bandwidth-bound: a thread takes a vector of channels of one output pixel
// and reads the window's pixels. What overlapping windows share comes from L1 and L2.
#include <limits>

#include "kernels/cuda/rows.h"
#include "kernels/pool/pool.h"

namespace haze::kernels {
namespace {

template <bool kMean, class T, int N>
__global__ void __launch_bounds__(kVecThreads) pool(PoolDims d, const T* x, T* y) {
  const unsigned wide = unsigned(d.c / N), columns = unsigned(d.wo()) * wide;
  for_each_vec(std::size_t(d.n) * d.ho(), columns, [&](std::size_t row, unsigned at) {
    const std::size_t n = row / d.ho();
    const int p = int(row - n * d.ho()), q = int(at / wide), i = int(at % wide);
    const int top = p * d.stride - d.pad, left = q * d.stride - d.pad;
    float v[N];
#pragma unroll
    for (float& e : v) e = kMean ? 0.0f : -std::numeric_limits<float>::infinity();
    int count = 0;
    const int bottom = top + d.side < d.h ? top + d.side : d.h;
    const int right = left + d.side < d.w ? left + d.side : d.w;
    for (int r = top > 0 ? top : 0; r < bottom; ++r)
      for (int s = left > 0 ? left : 0; s < right; ++s) {
        float in[N];
        read<N, true>(x + ((n * d.h + r) * d.w + s) * d.c + i * N, N, in);
#pragma unroll
        for (int k = 0; k < N; ++k)
          v[k] = kMean ? v[k] + in[k] : (in[k] > v[k] || in[k] != in[k] ? in[k] : v[k]);
        ++count;
      }
    if (kMean) {
#pragma unroll
      for (float& e : v) e *= 1.0f / float(count);
    }
    write<N, true>(y + (row * columns + at) * N, N, v);
  });
}

}  // namespace

template <>
void pool_forward(CudaStream s, const PoolDims& d, Pooling pooling, ConstAct x, Act y) {
  dispatch(y.dtype, [&]<class T>(T) {
    channel_vectors<T>(d.c, {x.data, y.data}, [&]<int N>() {
      const unsigned blocks =
          vec_blocks(std::size_t(d.n) * d.ho(), std::size_t(d.wo()) * (d.c / N));
      if (pooling == Pooling::mean)
        HAZE_LAUNCH((pool<true, T, N>), s, blocks, kVecThreads, 0, d, x.as<T>(), y.as<T>());
      else
        HAZE_LAUNCH((pool<false, T, N>), s, blocks, kVecThreads, 0, d, x.as<T>(), y.as<T>());
    });
  });
}

}  // namespace haze::kernels
