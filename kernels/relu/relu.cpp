// relu.cpp — CPU backend. One pass, vectorised by the compiler.
#include "kernels/relu/relu.h"

#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {

constexpr std::size_t kWorthThreads = 1
                                      << 14;  // below this, waking threads costs more than it saves

template <class T>
void forward(std::size_t n, const T* x, T* y) {
#pragma omp parallel for simd schedule(static) if (n >= kWorthThreads)
  for (std::size_t i = 0; i < n; ++i) y[i] = float(x[i]) < 0.0f ? 0.0f : float(x[i]);
}

template <bool adds, class T>
void backward(std::size_t n, const T* dy, const T* y, T* dx) {
#pragma omp parallel for simd schedule(static) if (n >= kWorthThreads)
  for (std::size_t i = 0; i < n; ++i) {
    const float v = float(y[i]) <= 0.0f ? 0.0f : float(dy[i]);
    dx[i] = adds ? float(dx[i]) + v : v;
  }
}

}  // namespace

template <>
void relu_forward(CpuStream, std::size_t n, ConstAct x, Act y) {
  dispatch(x.dtype, [&]<class T>(T) { forward(n, x.as<T>(), y.as<T>()); });
}

template <>
void relu_backward(CpuStream, std::size_t n, ConstAct dy, ConstAct y, Grad dx) {
  if (!dx) return;
  dispatch(y.dtype, [&]<class T>(T) {
    const auto run = dx.adds() ? backward<true, T> : backward<false, T>;
    run(n, dy.as<T>(), y.as<T>(), dx.as<T>());
  });
}

}  // namespace haze::kernels
