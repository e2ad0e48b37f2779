// SPDX-License-Identifier: MIT
// v5_swizzle.cu — v4_async.cu without bank conflicts: tiles stored in an order XORed with the row,
// and read by ldmatrix.
//
// What v4 lost: a register of a fragment is a load of 4 bytes from 8 rows. Shared memory is 32
// banks of 4 bytes; rows of 64 bytes start at bank 0 or 16, so 8 rows at the same column meet in
// two places, four times each: 4 wavefronts for 1.
//
// The idea: row r keeps its vector v (16 bytes) at place v ^ (r / 2 mod 4). Any 8 rows' vectors of
// one column then lie in all 32 banks, once each, and so do the 4 neighbouring threads' copies:
//
//      bank    0    4    8   12   16   20   24   28        vectors 0 to 3, two rows a line;
//            ┌────┬────┬────┬────┬────┬────┬────┬────┐     vector 0 of the 8 rows is marked
//    row 0/1 │[0] │ 1  │ 2  │ 3  │[0] │ 1  │ 2  │ 3  │
//    row 2/3 │ 1  │[0] │ 3  │ 2  │ 1  │[0] │ 3  │ 2  │
//    row 4/5 │ 2  │ 3  │[0] │ 1  │ 2  │ 3  │[0] │ 1  │
//    row 6/7 │ 3  │ 2  │ 1  │[0] │ 3  │ 2  │ 1  │[0] │
//            └────┴────┴────┴────┴────┴────┴────┴────┘
//
// ldmatrix reads such 16 bytes of 8 rows, four times an instruction, and hands each lane the two
// elements that mma wants of it: 4 instructions for 8 mma, where 16 loads were. (It gains nothing
// without the swizzle: its 8 rows would meet in the same two places.)
//
// What it costs: an XOR per address.
//
// What is left to gain, and what the shipped kernel has (kernels/cuda/gemm): four buffers, so that
// a copy has the time of three steps to arrive; 128x128 tiles, which halve the bytes per product;
// the results go through shared memory into whole sectors (here each travels four times), with
// bias, time embedding and residual added on the way; and divisions by multiplication.
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

/// Where vector `vec` of a row lies in the tile.
HAZE_DEVICE bf16* place(Tile& tile, int row, int vec) {
  return &tile.row[row][(vec ^ (row / 2 % kVecs)) * kVec];
}

/// sums += the warp's 32 rows of left times its 32 rows of right.
HAZE_DEVICE void multiply(Tile& left, Tile& right, int row, int column, float (&sums)[2][4][4]) {
  // The lane gives ldmatrix the address of row r of one of four matrices.
  const int r = int(threadIdx.x) % 8, matrix = int(threadIdx.x) % 32 / 8;
#pragma unroll
  for (int vec = 0; vec < kVecs; vec += 2) {  // k in steps of 16
    std::uint32_t a[2][4], b[2][4];
#pragma unroll
    for (int i = 0; i < 2; ++i)
      ptx::ldmatrix_x4(a[i], place(left, row + i * 16 + matrix % 2 * 8 + r, vec + matrix / 2));
#pragma unroll
    for (int j = 0; j < 2; ++j)
      ptx::ldmatrix_x4(b[j], place(right, column + j * 16 + matrix / 2 * 8 + r, vec + matrix % 2));
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        ptx::mma_m16n8k16_bf16(sums[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
  }
}

template <bool whole>
__global__ void __launch_bounds__(kThreads, 4)
    swizzled(Conv2dDims d, int ho, int wo, const bf16* x, const bf16* w, bf16* y) {
  HAZE_SHARED(Tile[2], left);
  HAZE_SHARED(Tile[2], right);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const int m0 = int(blockIdx.y) * kTile, n0 = int(blockIdx.x) * kTile;
  const int row = warp / 2 * 32, column = warp % 2 * 32;  // of the warp's results in the tile
  const int steps = (d.kh * d.kw * d.ci + kDeep - 1) / kDeep;
  // Four neighbouring threads take a row's 64 bytes.
  const auto fetch = [&](int step) {
    const int vec = int(threadIdx.x) % kVecs, k = step * kDeep + vec * kVec;
    for (int i = int(threadIdx.x) / kVecs; i < kTile; i += kThreads / kVecs) {
      copy<whole>(place(left[step % 2], i, vec), x,
                  [&](int e) { return pixel_at(d, ho, wo, x, m0 + i, k + e); });
      copy<whole>(place(right[step % 2], i, vec), w,
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

void v5_swizzle(CudaStream stream, const Conv2dDims& d, ConstAct x, ConstAct w, Act y) {
  const dim3 grid(unsigned(d.co + kTile - 1) / kTile,
                  unsigned(d.n * d.ho() * d.wo() + kTile - 1) / kTile);
  const bool aligned = std::uintptr_t(x.data) % 16 == 0 && std::uintptr_t(w.data) % 16 == 0;
  const auto run = [&]<bool whole>(std::bool_constant<whole>) {
    HAZE_LAUNCH(swizzled<whole>, stream, grid, kThreads, 0, d, d.ho(), d.wo(), x.as<bf16>(),
                w.as<bf16>(), y.as<bf16>());
  };
  d.ci % kVec == 0 && aligned ? run(std::true_type{}) : run(std::false_type{});
}

}  // namespace haze::kernels::conv2d_versions
