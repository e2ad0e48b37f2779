// SPDX-License-Identifier: MIT
// elementwise_trace_test.cpp — what the memory-bound CUDA kernels promise: no race under any
// schedule tried, each array moved as often as stated, every byte that travels used.
#include "kernels/adam/adam.h"
#include "kernels/add/add.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/mse/mse.h"
#include "kernels/pointwise/pointwise.h"
#include "kernels/pool/pool.h"
#include "kernels/q_sample/q_sample.h"
#include "kernels/sampler_step/sampler_step.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using kernels::Act;
using kernels::ConstAct;
using kernels::Grad;
using kernels::Write;
using test::DeviceBuffer;
using test::numbers;

const CudaStream kStream{};

template <class F, class T>
void function_of_one_moves_each_array_once(std::size_t n) {
  for (const simt::Schedule& s : simt::schedules(1)) {
    const void *x, *y, *dx;
    const auto trace = test::traced(
        [&] {
          const DeviceBuffer<T> in(numbers<T>(n)), out(n), gradient(n);
          x = in.p, y = out.p, dx = gradient.p;
          kernels::pointwise_forward<F>(kStream, n, in.act(), out.act());
          kernels::pointwise_backward<F>(kStream, n, out.act(), in.act(), gradient.grad());
        },
        s);
    test::expect_clean(*trace);
    test::expect_traffic(*trace, x, {.read = 2});
    test::expect_traffic(*trace, y, {.read = 1, .written = 1});
    test::expect_traffic(*trace, dx, {.written = 1});
    EXPECT_EQ(trace->excess_sectors(), 0u) << trace->text();
  }
}

template <class F, class T>
void function_of_two_moves_each_array_once(std::size_t n) {
  for (const simt::Schedule& s : simt::schedules(1)) {
    const void *a, *b, *y, *da, *db;
    const auto trace = test::traced(
        [&] {
          const DeviceBuffer<T> first(numbers<T>(n)), second(numbers<T>(n)), out(n), to_a(n),
              to_b(n);
          a = first.p, b = second.p, y = out.p, da = to_a.p, db = to_b.p;
          const auto backward = [&](Grad into_a, Grad into_b) {
            kernels::pointwise_backward<F>(kStream, n, out.act(), first.act(), second.act(), into_a,
                                           into_b);
          };
          kernels::pointwise_forward<F>(kStream, n, first.act(), second.act(), out.act());
          backward(to_a.grad(), to_b.grad());
          backward({}, to_b.grad(Write::add));
        },
        s);
    test::expect_clean(*trace);
    for (const void* p : {a, b}) test::expect_traffic(*trace, p, {.read = 3});
    test::expect_traffic(*trace, y, {.read = 2, .written = 1});
    test::expect_traffic(*trace, da, {.written = 1});
    test::expect_traffic(*trace, db, {.read = 1, .written = 2});
    EXPECT_EQ(trace->excess_sectors(), 0u) << trace->text();
  }
}

TEST(ElementwiseTraces, FunctionsMoveEachArrayOnce) {
#define HAZE_TRACE_ONE(F)                                         \
  function_of_one_moves_each_array_once<kernels::F, float>(5000); \
  function_of_one_moves_each_array_once<kernels::F, bf16>(5003);
  HAZE_FUNCTIONS_OF_ONE(HAZE_TRACE_ONE)
#define HAZE_TRACE_TWO(F)                                         \
  function_of_two_moves_each_array_once<kernels::F, float>(5000); \
  function_of_two_moves_each_array_once<kernels::F, bf16>(5003);
  HAZE_FUNCTIONS_OF_TWO(HAZE_TRACE_TWO)
}

TEST(ElementwiseTraces, AddMovesEachArrayOnce) {
  const std::size_t n = 3001;
  const void *a, *b, *y;
  const auto trace = test::traced([&] {
    const DeviceBuffer<bf16> x(numbers<bf16>(n)), z(numbers<bf16>(n)), out(n);
    a = x.p, b = z.p, y = out.p;
    kernels::add_forward(kStream, n, x.act(), z.act(), out.act());
    kernels::deliver(kStream, n, x.act(), out.grad(Write::add));
  });
  test::expect_clean(*trace);
  test::expect_traffic(*trace, a, {.read = 2});
  test::expect_traffic(*trace, b, {.read = 1});
  test::expect_traffic(*trace, y, {.read = 1, .written = 2});
  EXPECT_EQ(trace->excess_sectors(), 0u) << trace->text();
}

TEST(ElementwiseTraces, AddChannelReadsItsImageOnceInBothDirections) {
  const kernels::AddChannelDims d{3, 35, 64};
  const std::size_t n = 3 * 35 * 64;
  const void *in, *vector, *dvector;
  for (const simt::Schedule& s : simt::schedules(2)) {
    const auto trace = test::traced(
        [&] {
          const DeviceBuffer<float> x(numbers<float>(n)), v(numbers<float>(3 * 64)), y(n),
              dv(3 * 64);
          in = x.p, vector = v.p, dvector = dv.p;
          kernels::add_channel_forward(kStream, d, x.act(), v.act(), y.act());
          kernels::add_channel_backward(kStream, d, x.act(), dv.grad());
        },
        s);
    test::expect_clean(*trace);
    test::expect_traffic(*trace, in, {.read = 2});
    test::expect_traffic(*trace, dvector, {.written = 1});
    EXPECT_EQ(trace->buffer(vector).written.requested, 0u);
    EXPECT_EQ(trace->excess_sectors(), 0u) << trace->text();
    EXPECT_EQ(trace->conflicts(), 0u) << trace->text();
  }
}

/// `windows`: how many of them cover each pixel, summed over the pixels.
template <class T>
void pool_reads_a_pixel_once_per_window(const kernels::PoolDims& d, std::uint64_t windows) {
  for (const auto pooling : {kernels::Pooling::largest, kernels::Pooling::mean}) {
    const void *in, *out;
    const auto trace = test::traced([&] {
      const DeviceBuffer<T> x(numbers<T>(std::size_t(d.n) * d.h * d.w * d.c)),
          y(std::size_t(d.n) * d.ho() * d.wo() * d.c);
      in = x.p, out = y.p;
      kernels::pool_forward(kStream, d, pooling, x.act(), y.act());
    });
    test::expect_clean(*trace);
    const simt::BufferTraffic x = trace->buffer(in);
    EXPECT_EQ(x.read.requested, windows * d.c * sizeof(T)) << trace->text();
    EXPECT_EQ(x.read.unique, x.bytes);
    EXPECT_EQ(x.written.requested, 0u);
    test::expect_traffic(*trace, out, {.written = 1});
    EXPECT_EQ(trace->excess_sectors(), 0u) << trace->text();
  }
}
TEST(ElementwiseTraces, PoolMovesEachArrayOnceAndWhatWindowsShareOnceForEach) {
  pool_reads_a_pixel_once_per_window<bf16>({2, 6, 8, 64, 2, 2, 0}, 2 * 6 * 8);
  pool_reads_a_pixel_once_per_window<float>({1, 5, 7, 8, 1, 1, 0}, 5 * 7);
  // Along an axis three windows cover a pixel, but two the first and the last.
  pool_reads_a_pixel_once_per_window<bf16>({1, 5, 10, 16, 3, 1, 1}, (3 * 5 - 2) * (3 * 10 - 2));
}

// The largest logit, the sum and the gradient need a logit each: a warp that has read its item from
// memory once reads it twice more, from L1; and its first lane the logit of the label.
TEST(ElementwiseTraces, CrossEntropyReadsLogitsThreeTimesAndWritesTheirGradientOnce) {
  const kernels::CrossEntropyDims d{19, 35};  // three blocks, the last one with three items
  const std::size_t n = std::size_t(d.n) * d.classes;
  for (const bool trains : {false, true})
    for (const simt::Schedule& s : simt::schedules(1)) {
      const void *z, *dz, *label, *each, *result;
      const auto trace = test::traced(
          [&] {
            const DeviceBuffer<float> logits(numbers<float>(n)), dlogits(n), loss(1);
            std::vector<std::int32_t> classes(std::size_t(d.n));
            for (int i = 0; i < d.n; ++i) classes[std::size_t(i)] = i * 5 % d.classes;
            const DeviceBuffer<std::int32_t> labels(classes);
            const DeviceBuffer<double> scratch(kernels::cross_entropy_scratch_bytes(d) / 8);
            z = logits.p, dz = dlogits.p, label = labels.p, each = scratch.p, result = loss.p;
            kernels::cross_entropy(kStream, d, logits.act(), labels.p, 1, scratch.p, loss.p,
                                   trains ? dlogits.act() : Act{});
          },
          s);
      test::expect_clean(*trace);
      const simt::BufferTraffic in = trace->buffer(z);
      EXPECT_EQ(in.read.requested, (trains ? 3 : 2) * in.bytes + d.n * sizeof(float));
      EXPECT_EQ(in.read.unique, in.bytes);
      EXPECT_EQ(in.written.requested, 0u);
      EXPECT_EQ(trace->buffer(label).read.unique, d.n * sizeof(std::int32_t));
      EXPECT_EQ(trace->buffer(label).written.requested, 0u);
      test::expect_traffic(*trace, dz, {.written = trains});
      test::expect_traffic(*trace, each, {.read = 1, .written = 1});
      test::expect_traffic(*trace, result, {.written = 1});
      EXPECT_EQ(trace->conflicts(), 0u) << trace->text();
    }
}

TEST(ElementwiseTraces, AdamMovesEachArrayOnceAndTheGradientTwice) {
  const std::size_t n = kernels::kNormChunk + 4321;  // two chunks
  for (const simt::Schedule& s : simt::schedules(1)) {
    const void *w, *g, *m, *v, *ema, *half;
    const auto trace = test::traced(
        [&] {
          const DeviceBuffer<float> weights(numbers<float>(n)), gradient(numbers<float>(n)),
              first(numbers<float>(n)), second(std::vector<float>(n, 0.5f)),
              average(numbers<float>(n)), result(2);
          const DeviceBuffer<bf16> copy(n);
          const DeviceBuffer<double> scratch(kernels::global_norm_scratch_bytes(n) / 8);
          w = weights.p, g = gradient.p, m = first.p, v = second.p, ema = average.p, half = copy.p;
          const kernels::AdamStep step{0.9f, 0.1f, 0.99f, 0.01f, 1e-3f, 1, 1e-8f, 0, 1, 0.01f};
          kernels::adam_step(kStream, n, {step},
                             {weights.p, gradient.p, first.p, second.p, average.p, copy.p},
                             scratch.p, result.p);
        },
        s);
    test::expect_clean(*trace);
    for (const void* p : {w, m, v, ema}) test::expect_traffic(*trace, p, {.read = 1, .written = 1});
    test::expect_traffic(*trace, g, {.read = 2});  // for the norm, and for the update
    test::expect_traffic(*trace, half, {.written = 1});
    EXPECT_EQ(trace->conflicts(), 0u) << trace->text();
  }
}

// A skipped step reads gradient and losses, says so, and touches nothing else.
TEST(ElementwiseTraces, ASkippedAdamStepReadsTheGradientOnceAndWritesNoWeight) {
  const std::size_t n = kernels::kNormChunk + 4321;
  for (const bool bad_loss : {false, true})
    for (const simt::Schedule& s : simt::schedules(1)) {
      const void *w, *g, *m, *v, *ema, *half, *said;
      const auto trace = test::traced(
          [&] {
            auto bad = numbers<float>(n);
            if (!bad_loss) bad[n - 1] = NAN;
            const DeviceBuffer<float> weights(numbers<float>(n)), gradient(bad),
                first(numbers<float>(n)), second(std::vector<float>(n, 0.5f)),
                average(numbers<float>(n)), result(2),
                losses(std::vector<float>{1, bad_loss ? INFINITY : 1, 1});
            const DeviceBuffer<bf16> copy(n);
            const DeviceBuffer<double> scratch(kernels::global_norm_scratch_bytes(n) / 8);
            w = weights.p, g = gradient.p, m = first.p, v = second.p, ema = average.p;
            half = copy.p, said = result.p;
            const kernels::AdamStep step{0.9f, 0.1f, 0.99f, 0.01f, 1e-3f, 1, 1e-8f, 0, 1, 0.01f};
            kernels::adam_step(
                kStream, n, {step},
                {weights.p, gradient.p, first.p, second.p, average.p, copy.p, losses.p, 3},
                scratch.p, result.p);
          },
          s);
      test::expect_clean(*trace);
      for (const void* p : {w, m, v, ema, half}) test::expect_traffic(*trace, p, {});
      test::expect_traffic(*trace, g, {.read = 1});
      test::expect_traffic(*trace, said, {.written = 1});
      EXPECT_EQ(trace->launches(), 2u);
    }
}

TEST(ElementwiseTraces, QSampleWritesItsOutputOnly) {
  const kernels::ItemDims d{3, 500};
  const void *x0, *x_t, *given;
  const auto trace = test::traced([&] {
    const DeviceBuffer<float> in(numbers<float>(d.size())), noise(numbers<float>(d.size())),
        table(std::vector<float>(10, 0.5f));
    const DeviceBuffer<std::int32_t> t(std::vector<std::int32_t>{1, 9, 4});
    const DeviceBuffer<bf16> out(d.size());
    x0 = in.p, x_t = out.p, given = noise.p;
    kernels::q_sample(kStream, d, in.p, t.p, {table.p, table.p, 10}, kernels::Noise{noise.p, {}, 0},
                      out.act());
    kernels::q_sample(kStream, d, in.p, t.p, {table.p, table.p, 10}, {}, out.act());
  });
  test::expect_clean(*trace);
  test::expect_traffic(*trace, x0, {.read = 2});
  test::expect_traffic(*trace, given, {.read = 1});
  test::expect_traffic(*trace, x_t, {.written = 2});
}

TEST(ElementwiseTraces, ASamplerStepReadsTwoArraysAndWritesTwo) {
  const kernels::ItemDims d{3, 500};
  const void *x, *eps, *previous, *act;
  const auto trace = test::traced([&] {
    const DeviceBuffer<float> now(numbers<float>(d.size())), before(d.size());
    const DeviceBuffer<bf16> noise(numbers<bf16>(d.size())), out(d.size());
    x = now.p, eps = noise.p, previous = before.p, act = out.p;
    kernels::sampler_step(kStream, {3, 100, 5}, {{.xt = 1, .out = 0.1f, .sigma = 0.1f}}, now.p,
                          noise.act(), {}, {before.p, out.act()});
  });
  test::expect_clean(*trace);
  for (const void* p : {x, eps}) test::expect_traffic(*trace, p, {.read = 1});
  for (const void* p : {previous, act}) test::expect_traffic(*trace, p, {.written = 1});
}

TEST(ElementwiseTraces, TheLossReadsThePredictionOnce) {
  const kernels::ItemDims d{3, 700};
  for (const simt::Schedule& s : simt::schedules(1)) {
    const void *prediction, *gradient;
    const auto trace = test::traced(
        [&] {
          const DeviceBuffer<float> pred(numbers<float>(d.size())), dpred(d.size()), loss(1);
          const DeviceBuffer<double> scratch(kernels::mse_scratch_bytes(d) / 8);
          prediction = pred.p, gradient = dpred.p;
          kernels::mse(kStream, {3, 100, 7}, pred.act(), {}, 1, scratch.p, loss.p, dpred.act());
        },
        s);
    test::expect_clean(*trace);
    test::expect_traffic(*trace, prediction, {.read = 1});
    test::expect_traffic(*trace, gradient, {.written = 1});
    EXPECT_EQ(trace->conflicts(), 0u) << trace->text();
  }
}

}  // namespace
}  // namespace haze
