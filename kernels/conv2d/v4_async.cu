// SPDX-License-Identifier: MIT
// v4_async.cu — v3_tensor_cores.cu with two buffers: while one step is multiplied, cp.async copies
// the next one.
//
// What v3 lost: a step was load, barrier, multiply, barrier. During the loads, hundreds of clocks
// each, the tensor cores had nothing to do, and every number went through a register on its way.
//
// The idea: cp.async moves 16 bytes from device memory to shared memory without a register, and the
// thread goes on. A thread starts the copies of step i + 1, multiplies step i, and only then waits:
//
//      copies      │ 0 │    1    │    2    │    3    │            buffer of step i: i mod 2
//      multiplies      │    0    │    1    │    2    │    3    │
//      barrier         ▲         ▲         ▲         ▲
//
// The one barrier of a step says two things: everybody's copies of step i have arrived, and
// everybody has multiplied step i - 1, whose buffer may now be filled. A copy of 16 bytes with a
// source size of 0 writes zeros: that is the padding around the image.
//
// What it costs: twice the shared memory, 16 KiB. 16 bytes are 8 channels of one tap, which needs
// channels in multiples of 8; other widths (the first layer's 1 or 3) are put together from single
// elements, without cp.async, by the same code.
//
// What is left to gain: fragments still come as 4-byte
// loads with 4 wavefronts each (v5_swizzle.cu).
#include "kernels/conv2d/versions.h"
#include "kernels/cuda/ptx.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels::conv2d_versions {
namespace {

constexpr int kTile = 64, kDeep = 32, kThreads = 128;
constexpr int kVec = 8, kVecs = kDeep / kVec;  // bf16 in 16 bytes, and those in a row of a tile

/// Rows of pixels or of outputs, with k along each.
struct alignas(16) Tile {
  bf16 row[kTile][kDeep];
};

/// Element (m, k) of the left matrix [pixels, taps·ci], which exists only here: what output pixel m
/// meets at tap and channel k. Null where that is outside the image, or the matrix ends.
HAZE_DEVICE const bf16* pixel_at(const Conv2dDims& d, int ho, int wo, const bf16* x, int m, int k) {
  const int c = k % d.ci, s = k / d.ci % d.kw, r = k / d.ci / d.kw;
  const int q = m % wo, p = m / wo % ho, n = m / wo / ho;
  const int row = p * d.stride - d.pad_top + r, column = q * d.stride - d.pad_left + s;
  if (n >= d.n || r >= d.kh || row < 0 || row >= d.h || column < 0 || column >= d.w) return nullptr;
  return x + ((std::size_t(n) * d.h + row) * d.w + column) * d.ci + c;
}
/// Element (n, k) of the right matrix [co, taps·ci].
HAZE_DEVICE const bf16* weight_at(const Conv2dDims& d, const bf16* w, int n, int k) {
  const int depth = d.kh * d.kw * d.ci;
  return n < d.co && k < depth ? w + std::size_t(n) * depth + k : nullptr;
}

/// Starts to copy 8 elements; at(e) is the address of element e, or null for a zero. `whole`: they
/// are 16 bytes in a row, from an aligned start.
template <bool whole, class At>
HAZE_DEVICE void copy(bf16* to, const bf16* any, At at) {
  if constexpr (whole) {
    const bf16* const from = at(0);
    ptx::cp_async16(to, from ? from : any, from ? 16 : 0);
  } else {
#pragma unroll 1
    for (int e = 0; e < kVec; ++e) {
      const bf16* const from = at(e);
      to[e] = from ? *from : bf16(0.f);
    }
  }
}

/// Two neighbours along k as the register of an mma.
HAZE_DEVICE std::uint32_t pair(const Tile& tile, int row, int k) {
  return std::bit_cast<std::uint32_t>(load<2>(&tile.row[row][k]));
}

/// sums += the warp's 32 rows of left times its 32 rows of right.
HAZE_DEVICE void multiply(const Tile& left, const Tile& right, int row, int column,
                          float (&sums)[2][4][4]) {
  const int g = int(threadIdx.x) % 32 / 4, t = int(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int k = 0; k < kDeep; k += 16) {
    std::uint32_t a[2][4], b[4][2];
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        a[i][e] = pair(left, row + i * 16 + e % 2 * 8 + g, k + e / 2 * 8 + t);
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) b[j][e] = pair(right, column + j * 8 + g, k + e * 8 + t);
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) ptx::mma_m16n8k16_bf16(sums[i][j], a[i], b[j][0], b[j][1]);
  }
}

template <bool whole>
__global__ void __launch_bounds__(kThreads, 4)
    async(Conv2dDims d, int ho, int wo, const bf16* x, const bf16* w, bf16* y) {
  HAZE_SHARED(Tile[2], left);
  HAZE_SHARED(Tile[2], right);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int m0 = int(blockIdx.y) * kTile, n0 = int(blockIdx.x) * kTile;
  const int row = warp / 2 * 32, column = warp % 2 * 32;  // of the warp's results in the tile
  const int steps = (d.kh * d.kw * d.ci + kDeep - 1) / kDeep;
  // Four neighbouring threads take a row's 64 bytes.
  const auto fetch = [&](int step) {
    const int vec = int(threadIdx.x) % kVecs * kVec, k = step * kDeep + vec;
    for (int i = int(threadIdx.x) / kVecs; i < kTile; i += kThreads / kVecs) {
      copy<whole>(&left[step % 2].row[i][vec], x,
                  [&](int e) { return pixel_at(d, ho, wo, x, m0 + i, k + e); });
      copy<whole>(&right[step % 2].row[i][vec], w,
                  [&](int e) { return weight_at(d, w, n0 + i, k + e); });
    }
    ptx::cp_async_commit();
  };
  float sums[2][4][4] = {};
  fetch(0);
  for (int step = 0; step < steps; ++step) {
    ptx::cp_async_wait<0>();  // this thread's copies of the step have arrived
    __syncthreads();          // and everybody's; and the step before has been multiplied
    if (step + 1 < steps) fetch(step + 1);
    multiply(left[step % 2], right[step % 2], row, column, sums);
  }
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int m = m0 + row + i * 16 + e / 2 * 8 + lane / 4;
        const int n = n0 + column + j * 8 + lane % 4 * 2 + e % 2;
        if (m < d.n * ho * wo && n < d.co) y[std::size_t(m) * d.co + n] = sums[i][j][e];
      }
}

}  // namespace

void v4_async(CudaStream stream, const Conv2dDims& d, ConstAct x, ConstAct w, Act y) {
  const dim3 grid(unsigned(d.co + kTile - 1) / kTile,
                  unsigned(d.n * d.ho() * d.wo() + kTile - 1) / kTile);
  const bool aligned = std::uintptr_t(x.data) % 16 == 0 && std::uintptr_t(w.data) % 16 == 0;
  const auto run = [&]<bool whole>(std::bool_constant<whole>) {
    HAZE_LAUNCH(async<whole>, stream, grid, kThreads, 0, d, d.ho(), d.wo(), x.as<bf16>(),
                w.as<bf16>(), y.as<bf16>());
  };
  d.ci % kVec == 0 && aligned ? run(std::true_type{}) : run(std::false_type{});
}

}  // namespace haze::kernels::conv2d_versions
