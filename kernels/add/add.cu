// SPDX-License-Identifier: MIT
// add.cu — CUDA version. Bandwidth-bound: 16 bytes per thread and access, every tensor read or
// written once.
//
// The sum over pixels (add_channel_backward) gives a block one image and 128 bytes of its channels:
//
//   threads   8 across: neighbouring vectors of channels      pixel 0  | v0 v1 .. v7 |
//             32 down: neighbouring pixels, then 32 further   pixel 1  | v0 v1 .. v7 |
//                                                               ..      sums in registers
//
// then adds the 32 rows of partial sums in shared memory, in an order that hw alone fixes.
#include "kernels/add/add.h"
#include "kernels/cuda/rows.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 256;

template <class T, int N>
__global__ void __launch_bounds__(kThreads) add(std::size_t vectors, const T* a, const T* b, T* y) {
  for (std::size_t i = thread_of_grid(); i < vectors; i += threads_of_grid()) {
    const Vec<T, N> u = load<N>(a + i * N), v = load<N>(b + i * N);
    Vec<T, N> sum;
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] = float(u[k]) + float(v[k]);
    store(y + i * N, sum);
  }
}

template <class From, class To, int N>
__global__ void __launch_bounds__(kThreads)
    deliver_vectors(std::size_t vectors, const From* from, To* to, bool adds) {
  for (std::size_t i = thread_of_grid(); i < vectors; i += threads_of_grid()) {
    const Vec<From, N> in = load<N>(from + i * N);
    Vec<To, N> out{};
    if (adds) out = load<N>(to + i * N);
#pragma unroll
    for (int k = 0; k < N; ++k) out[k] = adds ? float(out[k]) + float(in[k]) : float(in[k]);
    store(to + i * N, out);
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kVecThreads)
    add_channel(AddChannelDims d, const T* x, const T* v, T* y) {
  const unsigned wide = unsigned(d.c / N), image = unsigned(d.hw) * wide;
  for_each_vec(std::size_t(d.n), image, [&](std::size_t n, unsigned i) {
    const std::size_t at = (n * image + i) * N;
    const Vec<T, N> u = load<N>(x + at), add = load<N>(v + (n * wide + i % wide) * N);
    Vec<T, N> sum;
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] = float(u[k]) + float(add[k]);
    store(y + at, sum);
  });
}

/// Channels that a block of sum_pixels takes.
template <int N>
constexpr int kSlice = (N == 1 ? 32 : 8) * N;

template <class T, class G, int N>
__global__ void __launch_bounds__(kThreads)
    sum_pixels(AddChannelDims d, unsigned slices, const T* dy, G* dv, bool adds) {
  constexpr int kAcross = kSlice<N> / N, kDown = kThreads / kAcross;
  HAZE_SHARED(float[kDown][kSlice<N> + 1], partial);
  const int column = int(threadIdx.x) % kAcross, row = int(threadIdx.x) / kAcross;
  const std::size_t n = blockIdx.x / slices;
  const int first = int(blockIdx.x % slices) * kSlice<N>, c = first + column * N;
  float sum[N] = {};
  if (c < d.c) {
    const T* in = dy + n * d.hw * d.c + c;
#pragma unroll 4
    for (int p = row; p < d.hw; p += kDown) {
      const Vec<T, N> v = load<N>(in + std::size_t(p) * d.c);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += float(v[k]);
    }
  }
#pragma unroll
  for (int k = 0; k < N; ++k) partial[row][column * N + k] = sum[k];
  __syncthreads();
  if (const int i = int(threadIdx.x); i < kSlice<N> && first + i < d.c) {
    float total = 0;
    for (int r = 0; r < kDown; ++r) total += partial[r][i];
    G& out = dv[n * d.c + first + i];
    out = adds ? float(out) + total : total;
  }
}

}  // namespace

template <>
void add_forward(CudaStream s, std::size_t n, ConstAct a, ConstAct b, Act y) {
  dispatch(y.dtype, [&]<class T>(T) {
    each_vector<T>(n, {a.data, b.data, y.data}, [&]<int N>(std::size_t first, std::size_t count) {
      HAZE_LAUNCH((add<T, N>), s, blocks_for(count, kThreads), kThreads, 0, count,
                  a.as<T>() + first, b.as<T>() + first, y.as<T>() + first);
    });
  });
}

template <>
void deliver(CudaStream s, std::size_t n, ConstAct from, Grad to) {
  if (!to) return;
  dispatch(from.dtype, [&]<class F>(F) {
    dispatch(to.dtype, [&]<class T>(T) {
      each_vector<Wider<F, T>>(
          n, {from.data, to.data}, [&]<int N>(std::size_t first, std::size_t count) {
            HAZE_LAUNCH((deliver_vectors<F, T, N>), s, blocks_for(count, kThreads), kThreads, 0,
                        count, from.as<F>() + first, to.as<T>() + first, to.adds());
          });
    });
  });
}

template <>
void add_channel_forward(CudaStream s, const AddChannelDims& d, ConstAct x, ConstAct v, Act y) {
  dispatch(y.dtype, [&]<class T>(T) {
    channel_vectors<T>(d.c, {x.data, v.data, y.data}, [&]<int N>() {
      const unsigned blocks = vec_blocks(std::size_t(d.n), std::size_t(d.hw) * (d.c / N));
      HAZE_LAUNCH((add_channel<T, N>), s, blocks, kVecThreads, 0, d, x.as<T>(), v.as<T>(),
                  y.as<T>());
    });
  });
}

template <>
void add_channel_backward(CudaStream s, const AddChannelDims& d, ConstAct dy, Grad dv) {
  if (!dv) return;
  dispatch(dy.dtype, [&]<class T>(T) {
    dispatch(dv.dtype, [&]<class G>(G) {
      channel_vectors<T>(d.c, {dy.data}, [&]<int N>() {
        const unsigned slices = unsigned((d.c + kSlice<N> - 1) / kSlice<N>);
        HAZE_LAUNCH((sum_pixels<T, G, N>), s, unsigned(d.n) * slices, kThreads, 0, d, slices,
                    dy.as<T>(), dv.as<G>(), dv.adds());
      });
    });
  });
}

}  // namespace haze::kernels
