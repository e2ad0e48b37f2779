// SPDX-License-Identifier: MIT
// clean_test.cpp — kernels as they should be: right
// results, no finding, no excess, under every schedule.
#include "kernels/cuda/ptx.h"
#include "kernels/cuda/vec.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using test::DeviceBuffer;

const CudaStream kStream{};

template <int padding>
__global__ void transpose(const float* x, float* y, int rows, int columns) {
  HAZE_SHARED(float[32][32 + padding], tile);
  const int x0 = int(blockIdx.x) * 32, y0 = int(blockIdx.y) * 32, tx = int(threadIdx.x);
  for (int k = int(threadIdx.y); k < 32; k += 8)
    if (y0 + k < rows && x0 + tx < columns) tile[k][tx] = x[(y0 + k) * columns + x0 + tx];
  __syncthreads();
  for (int k = int(threadIdx.y); k < 32; k += 8)
    if (x0 + k < columns && y0 + tx < rows) y[(x0 + k) * rows + y0 + tx] = tile[tx][k];
}
TEST(CleanKernels, ATiledTranspose) {
  const int rows = 64, columns = 96;
  std::vector<float> in(std::size_t(rows * columns));
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = float(i);
  const auto run = [&](auto* kernel, const simt::Schedule& s) {
    return test::traced(
        [&] {
          const DeviceBuffer<float> x(in), y(in.size());
          HAZE_LAUNCH(kernel, kStream, dim3(3, 2), dim3(32, 8), 0, x.p, y.p, rows, columns);
          const auto out = y.read();
          for (int i = 0; i < rows * columns; ++i)
            ASSERT_EQ(out[std::size_t(i % columns * rows + i / columns)], float(i));
        },
        s);
  };
  for (const simt::Schedule& s : simt::schedules(2)) {
    const auto trace = run(transpose<1>, s);
    test::expect_clean(*trace);
    EXPECT_EQ(trace->conflicts(), 0u) << trace->text();
    EXPECT_EQ(trace->excess_sectors(), 0u) << trace->text();
  }
  // Without padding a column is one bank: 31 too many for each of 6 tiles' 32 columns.
  EXPECT_EQ(run(transpose<0>, {})->conflicts(), 6u * 32 * 31);
}

__global__ void sum_rows(const float* x, float* y, int n) {
  HAZE_SHARED(float[32], partial);
  for (int row = 0; row < 2; ++row) {
    float v = 0;
    for (int i = int(threadIdx.x); i < n; i += int(blockDim.x)) v += x[row * n + i];
    v = kernels::block_sum(v, partial);
    if (threadIdx.x == 0) y[row] = v;
  }
}
TEST(CleanKernels, ABlockReduction) {
  for (const simt::Schedule& s : simt::schedules(2)) {
    const auto trace = test::traced(
        [] {
          const DeviceBuffer<float> x(std::vector<float>(2 * 999, 1)), y(2);
          HAZE_LAUNCH(sum_rows, kStream, 1, 256, 0, x.p, y.p, 999);
          EXPECT_EQ(y.read(), std::vector<float>(2, 999));
        },
        s);
    test::expect_clean(*trace);
    EXPECT_EQ(trace->conflicts(), 0u);
  }
}

/// C[16·warps, 8] = A[16·warps, K] B[8, K]ᵀ: two stages of cp.async, rows of 64 bytes swizzled for
/// ldmatrix, one m16n8 tile per warp.
constexpr int kWarps = 2, kStep = 32, kStages = 2;
HAZE_DEVICE int swizzle(int row, int vec) {  // of the four 16-byte vectors of a row
  return row * kStep + (vec ^ row / 2 % 4) * 8;
}
__global__ void matrix_product(const bf16* a, const bf16* b, float* c, int depth) {
  HAZE_SHARED(bf16[kStages][16 * kWarps * kStep], tile_a);
  HAZE_SHARED(bf16[kStages][8 * kStep], tile_b);
  const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const auto fetch = [&](int step) {
    if (step * kStep < depth) {
      for (int i = thread; i < 16 * kWarps * 4; i += 32 * kWarps)
        ptx::cp_async16(&tile_a[step % kStages][swizzle(i / 4, i % 4)],
                        a + i / 4 * depth + step * kStep + i % 4 * 8, 16);
      if (thread < 32)
        ptx::cp_async16(&tile_b[step % kStages][swizzle(thread / 4, thread % 4)],
                        b + thread / 4 * depth + step * kStep + thread % 4 * 8, 16);
    }
    ptx::cp_async_commit();
  };
  fetch(0);
  float sum[4] = {};
  for (int step = 0; step * kStep < depth; ++step) {
    fetch(step + 1);
    ptx::cp_async_wait<1>();
    __syncthreads();
    std::uint32_t rows[4], columns[4];
    ptx::ldmatrix_x4(columns, &tile_b[step % kStages][swizzle(lane % 8, lane / 8)]);
    for (int k = 0; k < 2; ++k) {
      ptx::ldmatrix_x4(rows,
                       &tile_a[step % kStages][swizzle(warp * 16 + lane % 16, k * 2 + lane / 16)]);
      ptx::mma_m16n8k16_bf16(sum, rows, columns[k * 2], columns[k * 2 + 1]);
    }
    __syncthreads();
  }
  ptx::cp_async_wait<0>();
  float* const row = c + (warp * 16 + lane / 4) * 8 + lane % 4 * 2;
  *reinterpret_cast<float2*>(row) = {sum[0], sum[1]};
  *reinterpret_cast<float2*>(row + 64) = {sum[2], sum[3]};
}
TEST(CleanKernels, APipelineOfCopiesLdmatrixAndMma) {
  const int depth = 160, m = 16 * kWarps;
  std::vector<bf16> a(std::size_t(m * depth)), b(std::size_t(8 * depth));
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = float(i % 7) - 3;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = float(i % 5) - 2;
  for (const simt::Schedule& s : simt::schedules(3)) {
    const void *pa, *pb, *pc;
    const auto trace = test::traced(
        [&] {
          const DeviceBuffer<bf16> x(a), w(b);
          const DeviceBuffer<float> y(std::size_t(m * 8));
          pa = x.p, pb = w.p, pc = y.p;
          HAZE_LAUNCH(matrix_product, kStream, 1, 32 * kWarps, 0, x.p, w.p, y.p, depth);
          const auto c = y.read();
          for (int i = 0; i < m; ++i)
            for (int j = 0; j < 8; ++j) {
              float want = 0;
              for (int k = 0; k < depth; ++k)
                want += float(a[std::size_t(i * depth + k)]) * float(b[std::size_t(j * depth + k)]);
              ASSERT_EQ(c[std::size_t(i * 8 + j)], want) << i << ',' << j;
            }
        },
        s);
    test::expect_clean(*trace);
    EXPECT_EQ(trace->conflicts(), 0u) << trace->text();
    EXPECT_EQ(trace->excess_sectors(), 0u) << trace->text();
    EXPECT_EQ(trace->mma(), std::uint64_t(kWarps * depth / 16));
    test::expect_traffic(*trace, pa, {.read = 1});
    test::expect_traffic(*trace, pb, {.read = 1});
    test::expect_traffic(*trace, pc, {.written = 1});
  }
}

}  // namespace
}  // namespace haze
