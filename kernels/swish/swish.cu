// swish.cu — CUDA version. Bandwidth-bound: 16 bytes per thread and access, one pass; a tail of
// single elements where n is not a multiple or a pointer is not aligned.
#include "kernels/base/math.h"
#include "kernels/cuda/vec.h"
#include "kernels/swish/swish.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 256;

template <class T, int N>
__global__ void __launch_bounds__(kThreads) swish(std::size_t vectors, const T* x, T* y) {
  for (std::size_t i = thread_of_grid(); i < vectors; i += threads_of_grid()) {
    Vec<T, N> v = load<N>(x + i * N);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float f = v[k];
      v[k] = f * sigmoid_f32(f);
    }
    store(y + i * N, v);
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    swish_gradient(std::size_t vectors, const T* dy, const T* x, T* dx, bool adds) {
  for (std::size_t i = thread_of_grid(); i < vectors; i += threads_of_grid()) {
    const Vec<T, N> u = load<N>(dy + i * N), v = load<N>(x + i * N);
    Vec<T, N> out{};
    if (adds) out = load<N>(dx + i * N);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float f = v[k], s = sigmoid_f32(f);
      const float d = float(u[k]) * s * (1 + f * (1 - s));
      out[k] = adds ? float(out[k]) + d : d;
    }
    store(dx + i * N, out);
  }
}

}  // namespace

template <>
void swish_forward(CudaStream s, std::size_t n, ConstAct x, Act y) {
  dispatch(y.dtype, [&]<class T>(T) {
    each_vector<T>(n, {x.data, y.data}, [&]<int N>(std::size_t first, std::size_t vectors) {
      HAZE_LAUNCH((swish<T, N>), s, blocks_for(vectors, kThreads), kThreads, 0, vectors,
                  x.as<T>() + first, y.as<T>() + first);
    });
  });
}

template <>
void swish_backward(CudaStream s, std::size_t n, ConstAct dy, ConstAct x, Grad dx) {
  if (!dx) return;
  dispatch(x.dtype, [&]<class T>(T) {
    each_vector<T>(n, {dy.data, x.data, dx.data},
                   [&]<int N>(std::size_t first, std::size_t vectors) {
                     HAZE_LAUNCH((swish_gradient<T, N>), s, blocks_for(vectors, kThreads), kThreads,
                                 0, vectors, dy.as<T>() + first, x.as<T>() + first,
                                 dx.as<T>() + first, dx.adds());
                   });
  });
}

}  // namespace haze::kernels
