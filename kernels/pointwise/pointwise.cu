// SPDX-License-Identifier: MIT
// pointwise.cu — CUDA version. Bandwidth-bound: 16 bytes per thread and access, one pass; a tail of
// single elements where n is not a multiple or a pointer is not aligned.
#include "kernels/cuda/vec.h"
#include "kernels/pointwise/pointwise.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 256;

// ---- one input ----------------------------------------------------------------------------------

template <class F, class T, int N>
__global__ void __launch_bounds__(kThreads) function_of_one(std::size_t vectors, const T* x, T* y) {
  for (std::size_t i = thread_of_grid(); i < vectors; i += threads_of_grid()) {
    Vec<T, N> v = load<N>(x + i * N);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = F::y(float(v[k]));
    store(y + i * N, v);
  }
}

template <class F, class T, int N>
__global__ void __launch_bounds__(kThreads)
    gradient_of_one(std::size_t vectors, const T* dy, const T* kept, T* dx, bool adds) {
  for (std::size_t i = thread_of_grid(); i < vectors; i += threads_of_grid()) {
    const Vec<T, N> u = load<N>(dy + i * N), v = load<N>(kept + i * N);
    Vec<T, N> out{};
    if (adds) out = load<N>(dx + i * N);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const float d = F::dx(float(u[k]), float(v[k]));
      out[k] = adds ? float(out[k]) + d : d;
    }
    store(dx + i * N, out);
  }
}

template <class F>
void forward(CudaStream s, std::size_t n, ConstAct x, Act y) {
  dispatch(y.dtype, [&]<class T>(T) {
    each_vector<T>(n, {x.data, y.data}, [&]<int N>(std::size_t first, std::size_t vectors) {
      HAZE_LAUNCH((function_of_one<F, T, N>), s, blocks_for(vectors, kThreads), kThreads, 0,
                  vectors, x.as<T>() + first, y.as<T>() + first);
    });
  });
}

template <class F>
void backward(CudaStream s, std::size_t n, ConstAct dy, ConstAct kept, Grad dx) {
  if (!dx) return;
  dispatch(kept.dtype, [&]<class T>(T) {
    each_vector<T>(n, {dy.data, kept.data, dx.data},
                   [&]<int N>(std::size_t first, std::size_t vectors) {
                     HAZE_LAUNCH((gradient_of_one<F, T, N>), s, blocks_for(vectors, kThreads),
                                 kThreads, 0, vectors, dy.as<T>() + first, kept.as<T>() + first,
                                 dx.as<T>() + first, dx.adds());
                   });
  });
}

// ---- two inputs ---------------------------------------------------------------------------------

template <class F, class T, int N>
__global__ void __launch_bounds__(kThreads)
    function_of_two(std::size_t vectors, const T* a, const T* b, T* y) {
  for (std::size_t i = thread_of_grid(); i < vectors; i += threads_of_grid()) {
    const Vec<T, N> u = load<N>(a + i * N), v = load<N>(b + i * N);
    Vec<T, N> out;
#pragma unroll
    for (int k = 0; k < N; ++k) out[k] = F::y(float(u[k]), float(v[k]));
    store(y + i * N, out);
  }
}

/// Where a gradient goes: null, or vectors to overwrite or to add to.
template <class T>
struct Into {
  T* data;
  bool adds;
  Into(const Grad& d, std::size_t first) : data(d ? d.as<T>() + first : nullptr), adds(d.adds()) {}
};

/// da is stored before db is read: they are one buffer where a is b.
template <class F, class T, int N>
__global__ void __launch_bounds__(kThreads)
    gradients_of_two(std::size_t vectors, const T* dy, const T* a, const T* b, Into<T> da,
                     Into<T> db) {
  for (std::size_t i = thread_of_grid(); i < vectors; i += threads_of_grid()) {
    const Vec<T, N> d = load<N>(dy + i * N), u = load<N>(a + i * N), v = load<N>(b + i * N);
    const auto deliver = [&](const Into<T>& to, auto formula) {
      if (!to.data) return;
      Vec<T, N> out{};
      if (to.adds) out = load<N>(to.data + i * N);
#pragma unroll
      for (int k = 0; k < N; ++k) {
        const float g = formula(float(d[k]), float(u[k]), float(v[k]));
        out[k] = to.adds ? float(out[k]) + g : g;
      }
      store(to.data + i * N, out);
    };
    deliver(da, [](float d, float a, float b) { return F::da(d, a, b); });
    deliver(db, [](float d, float a, float b) { return F::db(d, a, b); });
  }
}

template <class F>
void forward(CudaStream s, std::size_t n, ConstAct a, ConstAct b, Act y) {
  dispatch(y.dtype, [&]<class T>(T) {
    each_vector<T>(n, {a.data, b.data, y.data}, [&]<int N>(std::size_t first, std::size_t vectors) {
      HAZE_LAUNCH((function_of_two<F, T, N>), s, blocks_for(vectors, kThreads), kThreads, 0,
                  vectors, a.as<T>() + first, b.as<T>() + first, y.as<T>() + first);
    });
  });
}

template <class F>
void backward(CudaStream s, std::size_t n, ConstAct dy, ConstAct a, ConstAct b, Grad da, Grad db) {
  if (!da && !db) return;
  dispatch(dy.dtype, [&]<class T>(T) {
    each_vector<T>(n, {dy.data, a.data, b.data, da.data, db.data},
                   [&]<int N>(std::size_t first, std::size_t vectors) {
                     HAZE_LAUNCH((gradients_of_two<F, T, N>), s, blocks_for(vectors, kThreads),
                                 kThreads, 0, vectors, dy.as<T>() + first, a.as<T>() + first,
                                 b.as<T>() + first, Into<T>(da, first), Into<T>(db, first));
                   });
  });
}

}  // namespace

#define HAZE_FUNCTION_OF_ONE(F)                                                                  \
  template <>                                                                                    \
  void pointwise_forward<F>(CudaStream s, std::size_t n, ConstAct x, Act y) {                    \
    forward<F>(s, n, x, y);                                                                      \
  }                                                                                              \
  template <>                                                                                    \
  void pointwise_backward<F>(CudaStream s, std::size_t n, ConstAct dy, ConstAct kept, Grad dx) { \
    backward<F>(s, n, dy, kept, dx);                                                             \
  }
HAZE_FUNCTIONS_OF_ONE(HAZE_FUNCTION_OF_ONE)

#define HAZE_FUNCTION_OF_TWO(F)                                                                \
  template <>                                                                                  \
  void pointwise_forward<F>(CudaStream s, std::size_t n, ConstAct a, ConstAct b, Act y) {      \
    forward<F>(s, n, a, b, y);                                                                 \
  }                                                                                            \
  template <>                                                                                  \
  void pointwise_backward<F>(CudaStream s, std::size_t n, ConstAct dy, ConstAct a, ConstAct b, \
                             Grad da, Grad db) {                                               \
    backward<F>(s, n, dy, a, b, da, db);                                                       \
  }
HAZE_FUNCTIONS_OF_TWO(HAZE_FUNCTION_OF_TWO)

}  // namespace haze::kernels
