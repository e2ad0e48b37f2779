// SPDX-License-Identifier: MIT
// v3_tensor_cores.cu — bf16: the same 64x64 tiles as v2_tiled.cu, multiplied by tensor cores.
//
// What v2 lost: every multiply-add was an instruction of its own for one thread, after the factors
// had been widened to f32. One mma.sync is 16x8x16 multiply-adds for a warp: 64 for each thread.
//
// The idea: the 32 lanes of a warp hold one product's operands together. Of A [16,16] (pixels by
// k), B [16,8] (k by outputs) and the sums C [16,8], lane 4g + q holds, with t = 2q (ptx.h):
//
//          k  t t+1     t+8 t+9                outputs  g                  outputs  t  t+1
//       A   ┌───────┬───────┐              B        ┌───────┐          C        ┌───────┐
//    row g  │ a0    │ a2    │            k t, t+1   │ b0    │        row g      │ c0 c1 │
//           ├───────┼───────┤                       ├───────┤                   ├───────┤
//    g + 8  │ a1    │ a3    │            t+8, t+9   │ b1    │        g + 8      │ c2 c3 │
//           └───────┴───────┘                       └───────┘                   └───────┘
//
// Two neighbours along k fill one 32-bit register. Both tiles in shared memory have k along their
// rows, so each register is one load of 4 bytes. Four warps make 32x32 results each, from 2 of A
// and 4 of B: 16 loads of 4 bytes for 8 mma.
//
// What it costs: two barriers per step of 32, 8 KiB of shared memory, as bf16. A row of 32 bf16 is
// 64 bytes, half of the 32 banks, so the 8 rows g of one load fall on two places: 4 wavefronts
// where 1 would do, on every load of a factor.
//
// What is left to gain: the block still waits for memory, multiplies, and waits again
// (v4_async.cu), and the bank conflicts are 3/4 of what shared memory does (v5_swizzle.cu).
#include "kernels/conv2d/versions.h"
#include "kernels/cuda/ptx.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels::conv2d_versions {
namespace {

constexpr int kTile = 64, kDeep = 32, kThreads = 128;

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

__global__ void __launch_bounds__(kThreads)
    tensor_cores(Conv2dDims d, int ho, int wo, const bf16* x, const bf16* w, bf16* y) {
  HAZE_SHARED(Tile, left);
  HAZE_SHARED(Tile, right);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int m0 = int(blockIdx.y) * kTile, n0 = int(blockIdx.x) * kTile;
  const int row = warp / 2 * 32, column = warp % 2 * 32;  // of the warp's results in the tile
  const int depth = d.kh * d.kw * d.ci;
  float sums[2][4][4] = {};
  for (int k0 = 0; k0 < depth; k0 += kDeep) {
    for (int i = warp; i < kTile; i += kThreads / 32) {  // a warp takes a row, a lane one element
      const bf16* const from_x = pixel_at(d, ho, wo, x, m0 + i, k0 + lane);
      const bf16* const from_w = weight_at(d, w, n0 + i, k0 + lane);
      left.row[i][lane] = from_x ? *from_x : bf16(0.f);
      right.row[i][lane] = from_w ? *from_w : bf16(0.f);
    }
    __syncthreads();
    multiply(left, right, row, column, sums);
    __syncthreads();
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

void v3_tensor_cores(CudaStream stream, const Conv2dDims& d, ConstAct x, ConstAct w, Act y) {
  const dim3 grid(unsigned(d.co + kTile - 1) / kTile,
                  unsigned(d.n * d.ho() * d.wo() + kTile - 1) / kTile);
  HAZE_LAUNCH(tensor_cores, stream, grid, kThreads, 0, d, d.ho(), d.wo(), x.as<bf16>(),
              w.as<bf16>(), y.as<bf16>());
}

}  // namespace haze::kernels::conv2d_versions
