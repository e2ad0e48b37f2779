// SPDX-License-Identifier: MIT
// uninitialised_test.cpp — reads of memory that nobody has written are found, with their line.
#include "kernels/cuda/simt.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using simt::Mistake;
using test::DeviceBuffer;

const CudaStream kStream{};

void expect_one(const simt::Trace& trace, Mistake mistake, const std::string& mark,
                std::uint64_t count) {
  const auto found = trace.findings();
  ASSERT_EQ(found.size(), 1u) << trace.text();
  EXPECT_EQ(found[0].mistake, mistake);
  EXPECT_EQ(found[0].where, test::line_with(__FILE__, mark));
  EXPECT_EQ(found[0].count, count);
}

__global__ void half_written(float* y, int written) {
  HAZE_SHARED(float[64], tile);
  if (int(threadIdx.x) < written) tile[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x] > 0 ? 1 : 0;  // half written
}
TEST(Uninitialised, SharedMemoryEvenIfTheValueIsOnlyCompared) {
  const auto run = [](int written, int blocks) {
    return test::traced([=] {
      const DeviceBuffer<float> y(64);
      HAZE_LAUNCH(half_written, kStream, 1, 64, 0, y.p, written);
      for (int b = 1; b < blocks; ++b) HAZE_LAUNCH(half_written, kStream, 1, 64, 0, y.p, 60);
    });
  };
  test::expect_clean(*run(64, 1));
  expect_one(*run(60, 1), Mistake::uninitialised_shared, "half written", 4);
  expect_one(*run(64, 2), Mistake::uninitialised_shared, "half written",
             4);  // not the last block's
}

__global__ void copy(const float* x, float* y, int n) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] = x[i];  // copy
}
TEST(Uninitialised, DeviceMemory) {
  expect_one(*test::traced([] {
    const DeviceBuffer<float> x(100), y(100);
    kernels::copy_in(kStream, x.p, std::vector<float>(90, 1).data(), 90 * sizeof(float));
    HAZE_LAUNCH(copy, kStream, 4, 32, 0, x.p, y.p, 100);
  }),
             Mistake::uninitialised_global, "copy", 10);
}
TEST(Uninitialised, MemoryIsWrittenByTheHostByKernelsAndByZero) {
  test::expect_clean(*test::traced([] {
    const DeviceBuffer<float> x(std::vector<float>(64, 1)), y(64), z(64);
    HAZE_LAUNCH(copy, kStream, 2, 32, 0, x.p, y.p, 64);
    HAZE_LAUNCH(copy, kStream, 2, 32, 0, y.p, z.p, 64);
    kernels::zero(kStream, y.p, 64 * sizeof(float));
    kernels::copy(kStream, z.p, y.p, 64 * sizeof(float));
    HAZE_LAUNCH(copy, kStream, 2, 32, 0, z.p, x.p, 64);
  }));
}
TEST(Uninitialised, WhatWasThereBeforeTheTraceCountsAsWritten) {
  const DeviceBuffer<float> x(64), y(64);
  simt::Trace trace;
  {
    const simt::Tracing on(trace);
    HAZE_LAUNCH(copy, kStream, 2, 32, 0, x.p, y.p, 64);
    cudaDeviceSynchronize();
  }
  test::expect_clean(trace);
  {
    const simt::Tracing on(trace);
    trace.uninitialised(x.p + 10, 5 * sizeof(float));
    HAZE_LAUNCH(copy, kStream, 2, 32, 0, x.p, y.p, 64);
    cudaDeviceSynchronize();
  }
  expect_one(trace, Mistake::uninitialised_global, "copy", 5);
}

}  // namespace
}  // namespace haze
