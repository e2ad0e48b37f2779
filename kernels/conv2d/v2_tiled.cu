// SPDX-License-Identifier: MIT
// v2_tiled.cu — the convolution as a matrix product y [pixels, co] = x [pixels, taps·ci] wᵀ, whose
// left matrix exists only as tiles in shared memory. A block of 16x16 threads makes 64x64 results:
// per step it brings 64 pixels and 64 outputs by 16 of the summed index, so a number from memory
// meets 64 others, and a thread multiplies 4 pixels with 4 outputs, so a number from shared memory
// meets 4.
//
//            k: 16            64 outputs           thread (tx, ty): pixels ty + 16 i,
//     64   ┌──────┐        ┌────────────┐          outputs tx + 16 j, i and j < 4
//   pixels │ left │ x      │   right    │ 16
//          └──────┘        └────────────┘
//
// What is left to gain: the block waits for memory, multiplies, and waits again; bf16 is widened to
// f32, so shared memory holds half as much; and tensor cores do a 16x8x16 product per instruction.
#include "kernels/conv2d/versions.h"
#include "kernels/cuda/simt.h"

namespace haze::kernels::conv2d_versions {
namespace {

constexpr int kTile = 64, kDeep = 16, kAcross = 16, kThreads = kAcross * kAcross;
constexpr int kEach = kTile / kAcross;

template <class T>
__global__ void __launch_bounds__(kThreads)
    tiled(Conv2dDims d, int ho, int wo, const T* x, const T* w, T* y) {
  HAZE_SHARED(float[kDeep][kTile + 1], left);  // + 1: a column's numbers lie in different banks
  HAZE_SHARED(float[kDeep][kTile + 1], right);
  const int thread = int(threadIdx.x), tx = thread % kAcross, ty = thread / kAcross;
  const int pixels = d.n * ho * wo, depth = d.kh * d.kw * d.ci;
  const int m0 = int(blockIdx.y) * kTile, n0 = int(blockIdx.x) * kTile;
  float sums[kEach][kEach] = {};
  for (int k0 = 0; k0 < depth; k0 += kDeep) {
    const int k = k0 + tx, c = k % d.ci, s = k / d.ci % d.kw, r = k / d.ci / d.kw;
    for (int i = ty; i < kTile; i += kAcross) {  // x and w have the summed index in a row
      const int m = m0 + i, q = m % wo, p = m / wo % ho, n = m / wo / ho;
      const int row = p * d.stride - d.pad_top + r, column = q * d.stride - d.pad_left + s;
      const bool inside =
          m < pixels && k < depth && row >= 0 && row < d.h && column >= 0 && column < d.w;
      left[tx][i] =
          inside ? float(x[((std::size_t(n) * d.h + row) * d.w + column) * d.ci + c]) : 0.f;
      right[tx][i] = n0 + i < d.co && k < depth ? float(w[std::size_t(n0 + i) * depth + k]) : 0.f;
    }
    __syncthreads();
#pragma unroll
    for (int e = 0; e < kDeep; ++e) {
      float a[kEach], b[kEach];
#pragma unroll
      for (int i = 0; i < kEach; ++i)
        a[i] = left[e][ty + i * kAcross], b[i] = right[e][tx + i * kAcross];
#pragma unroll
      for (int i = 0; i < kEach; ++i)
#pragma unroll
        for (int j = 0; j < kEach; ++j) sums[i][j] += a[i] * b[j];
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i)
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      const int m = m0 + ty + i * kAcross, n = n0 + tx + j * kAcross;
      if (m < pixels && n < d.co) y[std::size_t(m) * d.co + n] = T(sums[i][j]);
    }
}

}  // namespace

void v2_tiled(CudaStream stream, const Conv2dDims& d, ConstAct x, ConstAct w, Act y) {
  const dim3 grid(unsigned(d.co + kTile - 1) / kTile,
                  unsigned(d.n * d.ho() * d.wo() + kTile - 1) / kTile);
  dispatch(y.dtype, [&]<class T>(T) {
    HAZE_LAUNCH(tiled<T>, stream, grid, kThreads, 0, d, d.ho(), d.wo(), x.as<T>(), w.as<T>(),
                y.as<T>());
  });
}

}  // namespace haze::kernels::conv2d_versions
