// SPDX-License-Identifier: MIT
// v1_naive.cu — the formula, one thread per output: neighbouring threads have neighbouring output
// channels of one pixel. All threads of a warp read the same x (one access, broadcast), but each
// its own row of w, kh·kw·ci elements from its neighbour's: up to 32 sectors for 32 numbers. Every
// product costs two loads, from caches at best.
#include "kernels/conv2d/versions.h"
#include "kernels/cuda/simt.h"

namespace haze::kernels::conv2d_versions {
namespace {

constexpr int kThreads = 128;

template <class T>
__global__ void __launch_bounds__(kThreads)
    naive(Conv2dDims d, int ho, int wo, std::size_t size, const T* x, const T* w, T* y) {
  const std::size_t i = std::size_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= size) return;
  const int o = int(i % d.co), q = int(i / d.co % wo), p = int(i / d.co / wo % ho);
  const std::size_t n = i / d.co / wo / ho;
  float sum = 0;
  for (int r = 0; r < d.kh; ++r)
    for (int s = 0; s < d.kw; ++s) {
      const int row = p * d.stride - d.pad_top + r, column = q * d.stride - d.pad_left + s;
      if (row < 0 || row >= d.h || column < 0 || column >= d.w) continue;
      const T* from = x + ((n * d.h + row) * d.w + column) * d.ci;
      const T* weight = w + ((std::size_t(o) * d.kh + r) * d.kw + s) * d.ci;
      for (int c = 0; c < d.ci; ++c) sum += float(from[c]) * float(weight[c]);
    }
  y[i] = T(sum);
}

}  // namespace

void v1_naive(CudaStream stream, const Conv2dDims& d, ConstAct x, ConstAct w, Act y) {
  const std::size_t size = std::size_t(d.n) * d.ho() * d.wo() * d.co;
  dispatch(y.dtype, [&]<class T>(T) {
    HAZE_LAUNCH(naive<T>, stream, unsigned((size + kThreads - 1) / kThreads), kThreads, 0, d,
                d.ho(), d.wo(), size, x.as<T>(), w.as<T>(), y.as<T>());
  });
}

}  // namespace haze::kernels::conv2d_versions
