// SPDX-License-Identifier: MIT
// late_test.cpp — a value that is given at the launch, or
// lies on the device and is read when the kernel runs.
#include "kernels/base/late.h"

#include "kernels/cuda/simt.h"
#include "kernels/runtime/graph.h"
#include "kernels/runtime/memory.h"
#include "tests/support/test.h"

namespace haze {
namespace {

constexpr CudaStream kDefault{};

struct Pair {
  float a = 0;
  std::uint32_t b = 0;
};

__global__ void write_it(Late<Pair> late, Pair* out) {
  const Pair p = late.get();
  if (threadIdx.x == 0) *out = p;
}

struct OnDevice {
  Pair* p = static_cast<Pair*>(kernels::allocate(kDefault, sizeof(Pair)));
  ~OnDevice() { kernels::release(kDefault, p); }
  void set(const Pair& v) {
    kernels::copy_in(kDefault, p, &v, sizeof v);
    kernels::synchronise(kDefault);
  }
  Pair get() const {
    Pair v;
    kernels::copy_out(kDefault, &v, p, sizeof v);
    return v;
  }
};

TEST(Late, OnTheHostIsTheValueUnlessThereIsAnAddress) {
  const Pair there{2.5f, 7};
  EXPECT_EQ(Late<Pair>{}.get().b, 0u);
  EXPECT_EQ((Late<Pair>{{1.5f, 3}}.get().b), 3u);
  EXPECT_EQ(late_at(&there).get().a, 2.5f);
  EXPECT_EQ((Late<Pair>{{1.5f, 3}, &there}.get().b), 7u);
}

TEST(Late, InAKernelIsReadWhenTheKernelRuns) {
  OnDevice at, out;
  HAZE_LAUNCH(write_it, kDefault, 1, 32, 0, Late<Pair>{{1.5f, 3}}, out.p);
  EXPECT_EQ(out.get().b, 3u);
  at.set({0.5f, 9});
  HAZE_LAUNCH(write_it, kDefault, 1, 32, 0, late_at(at.p), out.p);
  EXPECT_EQ(out.get().b, 9u);
  EXPECT_EQ(out.get().a, 0.5f);
}

TEST(Late, IsReadAnewByEveryReplayOfAGraph) {
  cudaStream_t handle;  // the default stream cannot be captured
  ASSERT_EQ(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), cudaSuccess);
  const CudaStream stream{handle};
  OnDevice at, out;
  kernels::CapturedGraph graph;
  graph.capture(stream, [&] { HAZE_LAUNCH(write_it, stream, 1, 32, 0, late_at(at.p), out.p); });
  for (const std::uint32_t i : {4u, 5u, 6u}) {
    at.set({float(i), i});
    graph.launch(stream);
    kernels::synchronise(stream);
    EXPECT_EQ(out.get().b, i);
    EXPECT_EQ(out.get().a, float(i));
  }
  EXPECT_EQ(cudaStreamDestroy(handle), cudaSuccess);
}

}  // namespace
}  // namespace haze
