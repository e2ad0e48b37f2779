// relu.cu — CUDA version. Bandwidth-bound: 16 bytes per thread and access, one pass; a tail of
// single elements where n is not a multiple or a pointer is not aligned.
#include "kernels/cuda/vec.h"
#include "kernels/relu/relu.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 256;

template <class T, int N>
__global__ void __launch_bounds__(kThreads) relu(std::size_t vectors, const T* x, T* y) {
  for (std::size_t i = thread_of_grid(); i < vectors; i += threads_of_grid()) {
    Vec<T, N> v = load<N>(x + i * N);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = float(v[k]) < 0.0f ? 0.0f : float(v[k]);
    store(y + i * N, v);
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    relu_gradient(std::size_t vectors, const T* dy, const T* y, T* dx, bool adds) {
  for (std::size_t i = thread_of_grid(); i < vectors; i += threads_of_grid()) {
    const Vec<T, N> u = load<N>(dy + i * N), v = load<N>(y + i * N);
    Vec<T, N> out{};
    if (adds) out = load<N>(dx + i * N);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float d = float(v[k]) <= 0.0f ? 0.0f : float(u[k]);
      out[k] = adds ? float(out[k]) + d : d;
    }
    store(dx + i * N, out);
  }
}

}  // namespace

template <>
void relu_forward(CudaStream s, std::size_t n, ConstAct x, Act y) {
  dispatch(y.dtype, [&]<class T>(T) {
    each_vector<T>(n, {x.data, y.data}, [&]<int N>(std::size_t first, std::size_t vectors) {
      HAZE_LAUNCH((relu<T, N>), s, blocks_for(vectors, kThreads), kThreads, 0, vectors,
                  x.as<T>() + first, y.as<T>() + first);
    });
  });
}

template <>
void relu_backward(CudaStream s, std::size_t n, ConstAct dy, ConstAct y, Grad dx) {
  if (!dx) return;
  dispatch(y.dtype, [&]<class T>(T) {
    each_vector<T>(
        n, {dy.data, y.data, dx.data}, [&]<int N>(std::size_t first, std::size_t vectors) {
          HAZE_LAUNCH((relu_gradient<T, N>), s, blocks_for(vectors, kThreads), kThreads, 0, vectors,
                      dy.as<T>() + first, y.as<T>() + first, dx.as<T>() + first, dx.adds());
        });
  });
}

}  // namespace haze::kernels
