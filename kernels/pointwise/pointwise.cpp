// SPDX-License-Identifier: MIT
// pointwise.cpp — CPU backend. One pass; the compiler vectorises the formula that is inlined.
#include "kernels/pointwise/pointwise.h"

#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {

// Below this, waking threads costs more than it saves.
constexpr std::size_t kWorthThreads = 1 << 14;

// ---- one input ----------------------------------------------------------------------------------

template <class F, class T>
void function_of_one(std::size_t n, const T* x, T* y) {
#pragma omp parallel for simd schedule(static) if (n >= kWorthThreads)
  for (std::size_t i = 0; i < n; ++i) y[i] = F::y(float(x[i]));
}

template <class F, bool adds, class T>
void gradient_of_one(std::size_t n, const T* dy, const T* kept, T* dx) {
#pragma omp parallel for simd schedule(static) if (n >= kWorthThreads)
  for (std::size_t i = 0; i < n; ++i) {
    const float d = F::dx(float(dy[i]), float(kept[i]));
    dx[i] = adds ? float(dx[i]) + d : d;
  }
}

template <class F>
void forward(std::size_t n, ConstAct x, Act y) {
  dispatch(x.dtype, [&]<class T>(T) { function_of_one<F>(n, x.as<T>(), y.as<T>()); });
}

template <class F>
void backward(std::size_t n, ConstAct dy, ConstAct kept, Grad dx) {
  if (!dx) return;
  dispatch(kept.dtype, [&]<class T>(T) {
    const auto run = dx.adds() ? gradient_of_one<F, true, T> : gradient_of_one<F, false, T>;
    run(n, dy.as<T>(), kept.as<T>(), dx.as<T>());
  });
}

// ---- two inputs ---------------------------------------------------------------------------------

template <class F, class T>
void function_of_two(std::size_t n, const T* a, const T* b, T* y) {
#pragma omp parallel for simd schedule(static) if (n >= kWorthThreads)
  for (std::size_t i = 0; i < n; ++i) y[i] = F::y(float(a[i]), float(b[i]));
}

/// What becomes of a gradient, known to the compiler: a loop with a choice in it is no vector code.
enum class Into { none, overwrite, add };

template <class F, Into A, Into B, class T>
void gradients_of_two(std::size_t n, const T* dy, const T* a, const T* b, T* da, T* db) {
#pragma omp parallel for simd schedule(static) if (n >= kWorthThreads)
  for (std::size_t i = 0; i < n; ++i) {
    const float d = dy[i], u = a[i], v = b[i];
    if constexpr (A == Into::overwrite) da[i] = F::da(d, u, v);
    if constexpr (A == Into::add) da[i] = float(da[i]) + F::da(d, u, v);
    if constexpr (B == Into::overwrite) db[i] = F::db(d, u, v);
    if constexpr (B == Into::add) db[i] = float(db[i]) + F::db(d, u, v);
  }
}

/// Calls f.operator()<Into>() with what becomes of d.
template <class Call>
void choose(const Grad& d, Call f) {
  if (!d) return f.template operator()<Into::none>();
  d.adds() ? f.template operator()<Into::add>() : f.template operator()<Into::overwrite>();
}

template <class F>
void forward(std::size_t n, ConstAct a, ConstAct b, Act y) {
  dispatch(y.dtype, [&]<class T>(T) { function_of_two<F>(n, a.as<T>(), b.as<T>(), y.as<T>()); });
}

template <class F>
void backward(std::size_t n, ConstAct dy, ConstAct a, ConstAct b, Grad da, Grad db) {
  dispatch(dy.dtype, [&]<class T>(T) {
    T *const to_a = da ? da.as<T>() : nullptr, *const to_b = db ? db.as<T>() : nullptr;
    choose(da, [&]<Into A>() {
      choose(db, [&]<Into B>() {
        gradients_of_two<F, A, B>(n, dy.as<T>(), a.as<T>(), b.as<T>(), to_a, to_b);
      });
    });
  });
}

}  // namespace

#define HAZE_FUNCTION_OF_ONE(F)                                                               \
  template <>                                                                                 \
  void pointwise_forward<F>(CpuStream, std::size_t n, ConstAct x, Act y) {                    \
    forward<F>(n, x, y);                                                                      \
  }                                                                                           \
  template <>                                                                                 \
  void pointwise_backward<F>(CpuStream, std::size_t n, ConstAct dy, ConstAct kept, Grad dx) { \
    backward<F>(n, dy, kept, dx);                                                             \
  }
HAZE_FUNCTIONS_OF_ONE(HAZE_FUNCTION_OF_ONE)

#define HAZE_FUNCTION_OF_TWO(F)                                                             \
  template <>                                                                               \
  void pointwise_forward<F>(CpuStream, std::size_t n, ConstAct a, ConstAct b, Act y) {      \
    forward<F>(n, a, b, y);                                                                 \
  }                                                                                         \
  template <>                                                                               \
  void pointwise_backward<F>(CpuStream, std::size_t n, ConstAct dy, ConstAct a, ConstAct b, \
                             Grad da, Grad db) {                                            \
    backward<F>(n, dy, a, b, da, db);                                                       \
  }
HAZE_FUNCTIONS_OF_TWO(HAZE_FUNCTION_OF_TWO)

}  // namespace haze::kernels
