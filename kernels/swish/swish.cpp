// swish.cpp — CPU backend. One pass; the exponential is arithmetic that the compiler vectorises.
#include "kernels/swish/swish.h"

#include "kernels/base/math.h"
#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {

constexpr std::size_t kWorthThreads = 1
                                      << 14;  // below this, waking threads costs more than it saves

template <class T>
void forward(std::size_t n, const T* x, T* y) {
#pragma omp parallel for simd schedule(static) if (n >= kWorthThreads)
  for (std::size_t i = 0; i < n; ++i) y[i] = float(x[i]) * sigmoid_f32(float(x[i]));
}

template <bool adds, class T>
void backward(std::size_t n, const T* dy, const T* x, T* dx) {
#pragma omp parallel for simd schedule(static) if (n >= kWorthThreads)
  for (std::size_t i = 0; i < n; ++i) {
    const float z = float(x[i]), s = sigmoid_f32(z);
    const float v = float(dy[i]) * s * std::fma(z, 1.0f - s, 1.0f);
    dx[i] = adds ? float(dx[i]) + v : v;
  }
}

}  // namespace

template <>
void swish_forward(CpuStream, std::size_t n, ConstAct x, Act y) {
  dispatch(x.dtype, [&]<class T>(T) { forward(n, x.as<T>(), y.as<T>()); });
}

template <>
void swish_backward(CpuStream, std::size_t n, ConstAct dy, ConstAct x, Grad dx) {
  if (!dx) return;
  dispatch(x.dtype, [&]<class T>(T) {
    const auto run = dx.adds() ? backward<true, T> : backward<false, T>;
    run(n, dy.as<T>(), x.as<T>(), dx.as<T>());
  });
}

}  // namespace haze::kernels
