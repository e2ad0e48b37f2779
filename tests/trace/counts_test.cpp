// SPDX-License-Identifier: MIT
// counts_test.cpp — bank conflicts, sectors and bytes of patterns whose counts are known.
#include "kernels/cuda/ptx.h"
#include "kernels/cuda/vec.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using test::DeviceBuffer;

const CudaStream kStream{};

/// The only line of its kind.
simt::Line line_of(const simt::Trace& trace, simt::Space space, const std::string& what) {
  simt::Line found{};
  int n = 0;
  for (const simt::Line& l : trace.lines())
    if (l.space == space && l.what == what) found = l, ++n;
  EXPECT_EQ(n, 1) << trace.text();
  return found;
}

// ---- bank conflicts
template <class T>
__global__ void strided_store(int stride) {
  HAZE_DYNAMIC_SHARED(T, s);
  s[int(threadIdx.x) * stride] = T{};  // strided store
}
template <class T>
simt::Line strided(int stride) {
  const auto trace = test::traced(
      [&] { HAZE_LAUNCH(strided_store<T>, kStream, 1, 64, 64 * 64 * sizeof(float), stride); });
  test::expect_clean(*trace);
  const simt::Line line = line_of(*trace, simt::Space::shared, "store");
  EXPECT_EQ(line.where, test::line_with(__FILE__, "strided store"));
  EXPECT_EQ(line.instructions, 2u);
  EXPECT_EQ(line.bytes, sizeof(T));
  EXPECT_EQ(trace->conflicts(), line.excess());
  return line;
}
TEST(Counts, WavefrontsOfStridedAccesses) {
  const auto wavefronts = [](const simt::Line& l) { return l.transactions / l.instructions; };
  EXPECT_EQ(wavefronts(strided<float>(1)), 1u);
  EXPECT_EQ(wavefronts(strided<float>(2)), 2u);
  EXPECT_EQ(wavefronts(strided<float>(3)), 1u);  // odd strides visit every bank
  EXPECT_EQ(wavefronts(strided<float>(8)), 8u);
  EXPECT_EQ(wavefronts(strided<float>(32)), 32u);
  EXPECT_EQ(wavefronts(strided<float>(33)), 1u);  // the padded tile
  EXPECT_EQ(strided<float>(32).ideal, 2u);
  EXPECT_EQ(strided<float>(32).worst, 32);
  EXPECT_EQ(wavefronts(strided<float2>(1)), 2u);  // in halves of the warp
  EXPECT_EQ(strided<float2>(1).excess(), 0u);
  EXPECT_EQ(wavefronts(strided<float4>(1)), 4u);  // in quarters
  EXPECT_EQ(strided<float4>(1).excess(), 0u);
  EXPECT_EQ(wavefronts(strided<float4>(2)), 8u);
  EXPECT_EQ(wavefronts(strided<std::uint16_t>(1)), 1u);  // two lanes to a word
  EXPECT_EQ(wavefronts(strided<std::uint16_t>(4)), 2u);
}

__global__ void broadcast(float* y) {
  HAZE_SHARED(float[64], s);
  s[threadIdx.x] = 1;
  s[threadIdx.x + 32] = 1;
  __syncwarp();
  y[threadIdx.x] = s[threadIdx.x / 16 * 32];  // two words of one bank
}
TEST(Counts, LanesThatWantOneWordShareIt) {
  const auto trace = test::traced([] {
    const DeviceBuffer<float> y(32);
    HAZE_LAUNCH(broadcast, kStream, 1, 32, 0, y.p);
  });
  EXPECT_EQ(line_of(*trace, simt::Space::shared, "load").transactions, 2u);
  EXPECT_EQ(trace->conflicts(), 1u);
}

/// 16 rows of 64 bf16 (128 bytes: all banks) read as ldmatrix does, column blocks permuted or not.
template <bool swizzled>
__global__ void matrix_rows(unsigned* y) {
  HAZE_SHARED(std::uint16_t[16][64], tile);
  const int lane = int(threadIdx.x);
  for (int i = lane; i < 16 * 8; i += 32)
    *reinterpret_cast<uint4*>(&tile[i / 8][i % 8 * 8]) = uint4{};
  __syncwarp();
  const int row = lane % 16, column = lane / 16;
  std::uint32_t r[4];
  ptx::ldmatrix_x4(r, &tile[row][(swizzled ? column ^ row % 8 : column) * 8]);  // ldmatrix
  y[lane] = r[0];
}
TEST(Counts, WavefrontsOfLdmatrixPerEightRows) {
  const auto run = [](auto* kernel) {
    return test::traced([=] {
      const DeviceBuffer<unsigned> y(32);
      HAZE_LAUNCH(kernel, kStream, 1, 32, 0, y.p);
    });
  };
  const auto plain = run(matrix_rows<false>), swizzled = run(matrix_rows<true>);
  const simt::Line line = line_of(*plain, simt::Space::shared, "ldmatrix");
  EXPECT_EQ(line.where, test::line_with(__FILE__, "ldmatrix"));
  EXPECT_EQ(line.ideal, 4u);
  EXPECT_EQ(line.transactions, 32u);
  EXPECT_EQ(line_of(*swizzled, simt::Space::shared, "ldmatrix").transactions, 4u);
  EXPECT_EQ(swizzled->conflicts(), 0u);
}

// ---- sectors
template <int N>
__global__ void gather(const float* x, float* y, int stride, int offset) {
  const auto v = kernels::load<N>(x + int(threadIdx.x) * stride + offset);  // gather
  float sum = 0;
  for (int k = 0; k < N; ++k) sum += v[k];
  y[threadIdx.x] = sum;
}
template <int N>
simt::Line sectors(int stride, int offset = 0) {
  const auto trace = test::traced([=] {
    const DeviceBuffer<float> x(std::vector<float>(4096, 1)), y(32);
    HAZE_LAUNCH(gather<N>, kStream, 1, 32, 0, x.p, y.p, stride, offset);
  });
  const simt::Line line = line_of(*trace, simt::Space::global, "load");
  EXPECT_EQ(line.where.substr(0, line.where.find(' ')), test::line_with(__FILE__, "gather"));
  EXPECT_EQ(line.bytes, N * sizeof(float));
  EXPECT_EQ(line.instructions, 1u);
  EXPECT_EQ(trace->excess_sectors(), line.excess());
  return line;
}
TEST(Counts, SectorsOfStridedAccesses) {
  EXPECT_EQ(sectors<1>(1).transactions, 4u);
  EXPECT_EQ(sectors<1>(1).excess(), 0u);
  EXPECT_EQ(sectors<1>(1, 1).transactions, 5u);  // one too many: not aligned
  EXPECT_EQ(sectors<1>(2).transactions, 8u);
  EXPECT_EQ(sectors<1>(2).ideal, 4u);
  EXPECT_EQ(sectors<1>(8).transactions, 32u);
  EXPECT_EQ(sectors<1>(32).transactions, 32u);
  EXPECT_EQ(sectors<1>(0).transactions, 1u);  // everybody the same
  EXPECT_EQ(sectors<1>(0).excess(), 0u);
  EXPECT_EQ(sectors<4>(4).transactions, 16u);
  EXPECT_EQ(sectors<4>(4).excess(), 0u);
  EXPECT_EQ(sectors<4>(8).transactions, 32u);  // half of each sector is used
  EXPECT_EQ(sectors<4>(8).ideal, 16u);
}

// ---- traffic
__global__ void shifted_sum(const bf16* x, float* y, int n, int terms) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i + terms > n) return;
  float sum = 0;
  for (int k = 0; k < terms; ++k) sum += x[i + k];
  y[i] = sum;
}
TEST(Counts, BytesRequestedAndDifferentBytes) {
  const void *x, *y;
  const auto trace = test::traced([&] {
    const DeviceBuffer<bf16> in(std::vector<bf16>(200, bf16(1.f)));
    const DeviceBuffer<float> out(300);
    x = in.p, y = out.p;
    for (int k = 0; k < 2; ++k) HAZE_LAUNCH(shifted_sum, kStream, 3, 64, 0, in.p, out.p, 101, 5);
  });
  test::expect_clean(*trace);
  const simt::BufferTraffic in = trace->buffer(x), out = trace->buffer(y);
  EXPECT_EQ(in.bytes, 400u);
  EXPECT_EQ(in.read.requested, 2u * 97 * 5 * 2);
  EXPECT_EQ(in.read.unique, 101u * 2);  // of both launches
  EXPECT_EQ(in.written.requested, 0u);
  EXPECT_EQ(out.written.requested, 2u * 97 * 4);
  EXPECT_EQ(out.written.unique, 97u * 4);
  EXPECT_EQ(out.read.requested, 0u);
  EXPECT_EQ(trace->launches(), 2u);
}

TEST(Counts, PartsOfAnAllocationHaveTheirOwnTraffic) {
  const DeviceBuffer<float> arena(1000);
  float* const x = arena.p + 64;
  simt::Trace trace;
  trace.name(x, 128 * sizeof(float), "x");
  trace.name(arena.p + 512, 32 * sizeof(float), "y");
  {
    const simt::Tracing on(trace);
    HAZE_LAUNCH(gather<1>, kStream, 1, 32, 0, x, arena.p + 512, 3, 0);
    cudaDeviceSynchronize();
  }
  EXPECT_EQ(trace.buffer(x).name, "x");
  EXPECT_EQ(trace.buffer(x + 5).read.requested, 32u * 4);
  EXPECT_EQ(trace.buffer(arena.p + 512).written.unique, 32u * 4);
  EXPECT_EQ(trace.buffer(arena.p).read.requested, 0u);
  EXPECT_THAT(trace.text(), testing::HasSubstr("No findings in 1 launch"));
}

__global__ void from_two(const float* a, const float* b, float* y) {
  const unsigned i = threadIdx.x;
  y[i] = i < 24 ? a[i] : b[(i - 24) * 8];  // neighbours, and 8 that lie a sector apart
}
TEST(Counts, AWarpThatReadsTwoBuffersIsChargedToBoth) {
  const DeviceBuffer<float> a(std::vector<float>(64, 1.f)), b(std::vector<float>(64, 1.f)), y(32);
  const auto trace = test::traced([&] { HAZE_LAUNCH(from_two, kStream, 1, 32, 0, a.p, b.p, y.p); });
  test::expect_clean(*trace);
  EXPECT_EQ(trace->buffer(a.p).read.sectors, 3u);
  EXPECT_EQ(trace->buffer(a.p).read.ideal_sectors, 3u);
  EXPECT_EQ(trace->buffer(b.p).read.sectors, 8u);
  EXPECT_EQ(trace->buffer(b.p).read.ideal_sectors, 1u);
}

TEST(Counts, ARunThatEndsInAnErrorLeavesTheTraceUsable) {
  simt::Trace trace;
  const simt::Tracing on(trace);
  const DeviceBuffer<float> y(64);
  EXPECT_ANY_THROW({
    HAZE_LAUNCH(strided_store<float>, kStream, 1, 64, 0, 1);  // no dynamic shared memory
    cudaDeviceSynchronize();
  });
  HAZE_LAUNCH(broadcast, kStream, 1, 32, 0, y.p);
  cudaDeviceSynchronize();
  test::expect_clean(trace);
  EXPECT_EQ(trace.buffer(y.p).written.requested, 128u);
}

}  // namespace
}  // namespace haze
