// SPDX-License-Identifier: MIT
// group_norm_trace_test.cpp — what group normalisation on CUDA promises: no race under any schedule
// tried, every image moved as often as stated, whole sectors even where a group has two channels.
#include "kernels/group_norm/group_norm.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using kernels::GroupNormDims;
using test::DeviceBuffer;
using test::numbers;

const CudaStream kStream{};

struct Want {
  std::uint64_t forward, backward;  // how often each pass reads x
  bool whole_sectors = true;        // rows of a slab begin and end with one
};

template <class T>
void expect_traffic(const GroupNormDims& d, Want want) {
  for (const simt::Schedule& s : simt::schedules(1)) {
    const std::size_t n = std::size_t(d.n) * d.hw * d.c, groups = std::size_t(d.n) * d.groups;
    const void *x, *y, *dy, *dx;
    const auto run = [&](bool backward) {
      return test::traced(
          [&] {
            const DeviceBuffer<T> in(numbers<T>(n)), out(n), dout(numbers<T>(n)), din(n);
            const DeviceBuffer<float> gamma(numbers<float>(d.c)), beta(numbers<float>(d.c));
            const DeviceBuffer<float> dgamma(d.c), dbeta(d.c);
            const DeviceBuffer<float> some(numbers<float>(groups)), mean(groups), rstd(groups);
            const DeviceBuffer<char> scratch(kernels::group_norm_scratch_bytes(kStream, d));
            x = in.p, y = out.p, dy = dout.p, dx = din.p;
            if (backward)
              kernels::group_norm_backward(kStream, d, dout.act(), in.act(), gamma.p, beta.p,
                                           some.p, some.p, din.grad(), dgamma.grad(), dbeta.grad(),
                                           scratch.p);
            else
              kernels::group_norm_forward(kStream, d, in.act(), gamma.p, beta.p, out.act(), mean.p,
                                          rstd.p, scratch.p);
          },
          s);
    };
    const auto forward = run(false);
    test::expect_clean(*forward);
    test::expect_traffic(*forward, x, {.read = want.forward});
    test::expect_traffic(*forward, y, {.written = 1});
    const auto backward = run(true);
    test::expect_clean(*backward);
    test::expect_traffic(*backward, x, {.read = want.backward});
    test::expect_traffic(*backward, dy, {.read = want.backward});
    test::expect_traffic(*backward, dx, {.written = 1});
    if (!want.whole_sectors) continue;
    EXPECT_EQ(forward->buffer(x).read.sectors, forward->buffer(x).read.ideal_sectors);
    EXPECT_EQ(forward->buffer(y).written.sectors, forward->buffer(y).written.ideal_sectors);
    EXPECT_EQ(backward->buffer(x).read.sectors, backward->buffer(x).read.ideal_sectors);
    EXPECT_EQ(backward->buffer(dx).written.sectors, backward->buffer(dx).written.ideal_sectors);
  }
}

TEST(GroupNormTraces, SmallImagesMoveOnce) {
  expect_traffic<float>({2, 100, 64, 32}, {1, 1});
  expect_traffic<bf16>({2, 100, 64, 32, 1e-5f, true}, {1, 1});
}

TEST(GroupNormTraces, LargeImagesAreReadTwice) {
  expect_traffic<float>({1, 1100, 16, 8}, {2, 2});
  expect_traffic<bf16>({1, 1100, 32, 8, 1e-5f, true}, {2, 2});
  expect_traffic<bf16>({1, 600, 32, 8, 1e-5f, true}, {1, 2});
}

TEST(GroupNormTraces, TheLastSlabMayBeNarrower) {
  expect_traffic<float>({2, 100, 48, 12}, {1, 1});              // 32 channels and 16
  expect_traffic<bf16>({2, 100, 96, 12, 1e-5f, true}, {1, 1});  // 64 and 32
  expect_traffic<float>({1, 1100, 48, 12}, {2, 2});             // in chunks
  expect_traffic<bf16>({1, 9, 96, 32}, {1, 1, false});          // 72 and 24: groups of three
  expect_traffic<float>({1, 5, 1028, 1}, {2, 2, false});        // parts of a group: 516 and 512
}

/// Of two tensors every one moves as often as one alone would, in whole sectors, though a group
/// lies across the seam.
void expect_traffic_of_two(const GroupNormDims& d, std::uint64_t passes) {
  const std::size_t pixels = std::size_t(d.n) * d.hw, groups = std::size_t(d.n) * d.groups;
  const std::size_t c1 = pixels * (d.c - d.c2), c2 = pixels * d.c2, n = pixels * d.c;
  for (const simt::Schedule& s : simt::schedules(1)) {
    const void *in[2], *din[2], *y, *dy;
    const auto run = [&](bool backward) {
      return test::traced(
          [&] {
            const DeviceBuffer<bf16> a(numbers<bf16>(c1)), b(numbers<bf16>(c2)), da(c1), db(c2);
            const DeviceBuffer<bf16> out(n), dout(numbers<bf16>(n));
            const DeviceBuffer<float> gamma(numbers<float>(d.c)), beta(numbers<float>(d.c));
            const DeviceBuffer<float> dgamma(d.c), dbeta(d.c);
            const DeviceBuffer<float> some(numbers<float>(groups)), mean(groups), rstd(groups);
            const DeviceBuffer<char> scratch(kernels::group_norm_scratch_bytes(kStream, d));
            in[0] = a.p, in[1] = b.p, din[0] = da.p, din[1] = db.p, y = out.p, dy = dout.p;
            const kernels::Joined<kernels::ConstAct> x{a.act(), b.act()};
            if (backward)
              kernels::group_norm_backward(kStream, d, dout.act(), x, gamma.p, beta.p, some.p,
                                           some.p, {da.grad(), db.grad()}, dgamma.grad(),
                                           dbeta.grad(), scratch.p);
            else
              kernels::group_norm_forward(kStream, d, x, gamma.p, beta.p, out.act(), mean.p, rstd.p,
                                          scratch.p);
          },
          s);
    };
    const auto moved = [](const simt::Trace& r, const void* p, bool written) {
      const auto& side = written ? r.buffer(p).written : r.buffer(p).read;
      EXPECT_EQ(side.sectors, side.ideal_sectors);
    };
    const auto forward = run(false);
    test::expect_clean(*forward);
    test::expect_traffic(*forward, y, {.written = 1});
    const auto backward = run(true);
    test::expect_clean(*backward);
    test::expect_traffic(*backward, dy, {.read = passes});
    for (const int i : {0, 1}) {
      test::expect_traffic(*forward, in[i], {.read = passes});
      moved(*forward, in[i], false);
      test::expect_traffic(*backward, in[i], {.read = passes});
      test::expect_traffic(*backward, din[i], {.written = 1});
      moved(*backward, din[i], true);
    }
  }
}

TEST(GroupNormTraces, TwoTensorsMoveAsOneDoes) {
  expect_traffic_of_two({2, 64, 128, 4, 1e-5f, true, 16}, 1);
  expect_traffic_of_two({1, 1100, 128, 4, 1e-5f, true, 16}, 2);
  expect_traffic_of_two({2, 64, 96, 3, 1e-5f, true, 16}, 1);  // slabs of 64 channels and 32
}

}  // namespace
}  // namespace haze
