// SPDX-License-Identifier: MIT
// diffusion_trace_test.cpp — what the kernels around the network promise beyond their plain cases:
// no race under any schedule tried, each array moved as often as docs/kernels/diffusion.md states.
#include "kernels/blend/blend.h"
#include "kernels/guidance/guidance.h"
#include "kernels/labels/labels.h"
#include "kernels/mse/mse.h"
#include "kernels/sampler_step/sampler_step.h"
#include "kernels/variational_bound/variational_bound.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using kernels::PredictionDims;
using test::DeviceBuffer;
using test::numbers;

const CudaStream kStream{};
constexpr PredictionDims kPlain{3, 100, 4}, kOdd{3, 93, 3}, kWide{3, 93, 3, true};  // two tiles

/// Runs f, which launches kernels and hands its buffers
/// to `expect(buffer, times)`, under schedules.
template <class F>
void check(F f) {
  for (const simt::Schedule& s : simt::schedules(1)) {
    std::vector<std::pair<const void*, test::Times>> expected;
    const auto trace = test::traced(
        [&] { f([&](const auto& b, test::Times t) { expected.emplace_back(b.p, t); }); }, s);
    test::expect_clean(*trace);
    for (const auto& [p, times] : expected) test::expect_traffic(*trace, p, times);
    EXPECT_EQ(trace->conflicts(), 0u) << trace->text();
  }
}

TEST(DiffusionTraces, ASamplerStepMovesHistoryVariancesAndX0Once) {
  for (const PredictionDims& d : {kPlain, kOdd, kWide})
    check([&](auto expect) {
      const std::size_t size = d.items().size(), outputs = std::size_t(d.n) * d.outputs();
      const DeviceBuffer<float> x(numbers<float>(size)), history(numbers<float>(size)), x0(size);
      const DeviceBuffer<bf16> out(numbers<bf16>(outputs)), act(size);
      kernels::SamplerStep c{.x0 = 1, .history = 1, .sigma = 1, .keep_x0 = 1};
      c.learned = d.variances;
      kernels::sampler_step(kStream, d, {c}, x.p, out.act(), {}, {x.p, act.act(), history.p, x0.p});
      expect(x, {.read = 1, .written = 1});
      expect(out, {.read = 1});
      expect(history, {.read = 1, .written = 1});
      expect(x0, {.written = 1});
      expect(act, {.written = 1});
    });
}

TEST(DiffusionTraces, ATargetWithX0IsReadOnceMore) {
  for (const PredictionDims& d : {kPlain, kOdd})
    check([&](auto expect) {
      const std::size_t size = d.items().size();
      const DeviceBuffer<float> pred(numbers<float>(size)), x0(numbers<float>(size)), dpred(size);
      const DeviceBuffer<float> table(std::vector<float>{0.5f, 2}), loss(1), items(3);
      const DeviceBuffer<std::int32_t> t(std::vector<std::int32_t>{1, 0, 1});
      const DeviceBuffer<double> scratch(kernels::mse_scratch_bytes(d.items()) / 8);
      const kernels::MseTarget target{{}, x0.p, t.p, table.p, table.p, table.p, 2};
      kernels::mse(kStream, d, pred.act(), target, 1, scratch.p, loss.p, dpred.act(), items.p);
      expect(pred, {.read = 1});
      expect(x0, {.read = 1});
      expect(dpred, {.written = 1});
      expect(scratch, {.read = 2, .written = 1});  // for the mean, and for the items'
      expect(items, {.written = 1});
    });
}

TEST(DiffusionTraces, GuidanceMovesEachArrayOnce) {
  for (const PredictionDims& d : {kPlain, kOdd, kWide})
    check([&](auto expect) {
      const std::size_t outputs = std::size_t(d.n) * d.outputs();
      const DeviceBuffer<float> c(numbers<float>(outputs)), u(numbers<float>(outputs)),
          out(outputs);
      kernels::guidance(kStream, d, c.act(), u.act(), {3, 0}, nullptr, out.act());
      expect(out, {.written = 1});
      if (d.variances) return;  // half of u is read so
      expect(c, {.read = 1});
      expect(u, {.read = 1});
    });
}

TEST(DiffusionTraces, RescaledGuidanceReadsOnceMore) {
  const std::size_t size = kPlain.items().size();
  const void *from, *other;
  for (const simt::Schedule& s : simt::schedules(1)) {
    const auto trace = test::traced(
        [&] {
          const DeviceBuffer<float> c(numbers<float>(size)), u(numbers<float>(size)), out(size);
          const DeviceBuffer<float> factor(3);
          from = c.p, other = u.p;
          kernels::guidance(kStream, kPlain, c.act(), u.act(), {3, 0.5f}, factor.p, out.act());
        },
        s);
    test::expect_clean(*trace);
    // And the item's first value by each of 512 threads: one broadcast a warp.
    for (const void* p : {from, other})
      EXPECT_EQ(trace->buffer(p).read.requested, 2 * size * 4 + 3 * 512 * 4) << trace->text();
    EXPECT_EQ(trace->conflicts(), 0u) << trace->text();
  }
}

TEST(DiffusionTraces, UnknownPixelsCostTheirMaskOnly) {
  check([](auto expect) {
    const kernels::BlendDims d{2, 64, 4};
    std::vector<std::uint8_t> half(128);
    std::fill_n(half.begin(), 64, 1);  // all of the first image, nothing of the second
    const DeviceBuffer<std::uint8_t> mask(half);
    const DeviceBuffer<float> known(numbers<float>(256)), z(numbers<float>(512)), x(256);
    kernels::BlendDims shared = d;
    shared.x0_per_item = false;
    // x holds the first image alone: a touch of the second would be outside.
    kernels::blend(kStream, shared, kernels::BlendStep{0.6f, 0.8f}, mask.p, known.p, {z.p, {}, 0},
                   x.p);
    expect(known, {.read = 1});
    expect(x, {.written = 1});
  });
}

TEST(DiffusionTraces, TheBoundReadsItsBatchOnce) {
  check([](auto expect) {
    const std::size_t size = kWide.items().size(), outputs = 2 * size;
    const DeviceBuffer<float> x0(numbers<float>(size)), loss(1), terms(3);
    const DeviceBuffer<bf16> x_t(numbers<bf16>(size)), out(numbers<bf16>(outputs)),
        dout(numbers<bf16>(outputs));
    const DeviceBuffer<kernels::BoundStep> table(
        std::vector<kernels::BoundStep>{{1, 0, 1, 0, -4, -2}, {1, 0, 1, -3, -3, -2}});
    const DeviceBuffer<std::int32_t> t(std::vector<std::int32_t>{1, 0, 1}), labels(3);
    const DeviceBuffer<double> scratch(kernels::item_sums_bytes(kWide.items()) / 8);
    kernels::BoundInputs in;
    in.x0 = x0.p;
    in.x_t = x_t.act();
    in.t = t.p;
    in.table = table.p;
    in.steps = 2;
    kernels::variational_bound(kStream, kWide, out.act(), in, 1, scratch.p, loss.p, dout.act(),
                               terms.p);
    kernels::gather_labels(kStream, {3, 3}, t.p, t.p, {0.5f, 9, {}, 0}, labels.p);
    expect(x0, {.read = 1});
    expect(x_t, {.read = 1});
    expect(out, {.read = 1});
    expect(scratch, {.read = 2, .written = 1});
    expect(labels, {.written = 1});
  });
}

}  // namespace
}  // namespace haze
