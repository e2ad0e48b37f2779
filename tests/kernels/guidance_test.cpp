// SPDX-License-Identifier: MIT
// guidance_test.cpp — guidance equals the formula in double, rescaled or not, with variances or
// not, in f32 and bf16, wherever it writes.
#include "engine/process/process.h"
#include "kernels/guidance/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::Guidance;
using engine::Tensor;

/// Errors of the value before it is rounded to the type: c, c - u, their product and sum, of sizes
/// below 6 and (w - 1)·12, and with rescaling a factor below 3 of three roundings more.
double absolute(const Guidance& g) {
  const double size = 6 + std::abs(double(g.weight) - 1) * 12;
  return (g.rescale == 0 ? 3 : 3 * 7) * size * 0x1p-24;
}

TEST(Guidance, EqualsTheFormula) {
  const Guidance guidances[] = {{3.5f, 0}, {7.5f, 0.7f}, {0, 0}, {-0.5f, 1}};
  const kernels::PredictionDims dims[] = {{3, 1, 2},       {2, 64, 4},        {3, 11 * 13, 3},
                                          {3, 5, 3, true}, {2, 300, 4, true}, {1, 719, 3, true}};
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& d : dims)
        for (const Guidance& g : guidances) {
          engine::Context context(stream, type);
          engine::Tape tape(context);
          const std::size_t size = std::size_t(d.n) * d.outputs();
          const auto c = test::normal(size, 1, 0.3, 1, type), u = test::normal(size, 2, 0, 1, type);
          std::vector<double> want(size);
          kernels::reference::guidance(d, c.data(), u.data(), g, want.data());
          const Tensor x = tape.empty({d.n, d.pixels, d.channels}, DType::f32);
          const engine::Shape shape{d.n, d.pixels, d.outputs() / d.pixels};
          const auto got = engine::guidance(context, x, test::to_tensor(tape, shape, c, type),
                                            test::to_tensor(tape, shape, u, type), g);
          EXPECT_EQ(got.dtype, type);
          test::expect_close(test::values(tape, got), want, 2 * test::rounding(type), absolute(g),
                             cat(d.pixels, 'x', d.channels, d.variances ? "v " : " ", g.weight, ' ',
                                 g.rescale, ' ', name_of(type)));
        }
}

TEST(Guidance, OfWeightOneIsTheConditionalPrediction) {
  for (const Stream stream : test::streams())
    for (const float rescale : {0.0f, 0.7f}) {
      engine::Context context{stream};
      engine::Tape tape(context);
      const auto c = test::normal(2 * 35, 1), u = test::normal(2 * 35, 2);
      const Tensor from = test::to_tensor(tape, {2, 35}, c);
      const auto got =
          engine::guidance(context, from, from, test::to_tensor(tape, {2, 35}, u), {1, rescale});
      // Rescaled, the factor is 1 with three roundings.
      test::expect_close(test::values(tape, got), c, rescale == 0 ? 0 : 3 * 0x1p-24, 1e-300,
                         "w = 1");
    }
}

TEST(Guidance, RescalingIsTheSpreadOfTheConditionalPrediction) {
  // With phi = 1 the results spread as c does; a large offset shows cancelling sums of squares.
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto c = test::normal(1000, 1, 3000, 1), u = test::normal(1000, 2, 3000, 1);
    const Tensor from = test::to_tensor(tape, {1, 1000}, c);
    const auto got = test::values(
        tape, engine::guidance(context, from, from, test::to_tensor(tape, {1, 1000}, u), {4, 1}));
    // Values near 1,000 are rounded to 2^-14: less than 1e-4 of a spread of 1.
    const double want = kernels::reference::standard_deviation(c);
    EXPECT_NEAR(kernels::reference::standard_deviation(got), want, 2e-4 * want);
  }
}

TEST(Guidance, ConstantItemsAreNotRescaledAndNanShows) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const Tensor c = test::to_tensor(tape, {3, 2}, {5, 5, 1, NAN, 1, 2}),
                 u = test::to_tensor(tape, {3, 2}, {4, 4, 0, 0, 0, 1});
    const auto got = test::values(tape, engine::guidance(context, c, c, u, {3, 0.5f}));
    EXPECT_EQ(got[0], 7);
    EXPECT_EQ(got[1], 7);
    EXPECT_TRUE(std::isnan(got[2]) && std::isnan(got[3]));
    EXPECT_TRUE(std::isfinite(got[4]) && std::isfinite(got[5]));
  }
}

TEST(Guidance, MayWriteOverItsInputs) {
  for (const Stream stream : test::streams())
    for (const bool over_c : {false, true})
      for (const float rescale : {0.0f, 0.6f}) {
        engine::Context context{stream};
        engine::Tape tape(context);
        const kernels::PredictionDims d{2, 35, 3, true};
        const auto c = test::normal(420, 1), u = test::normal(420, 2);
        const Tensor a = test::to_tensor(tape, {2, 35, 6}, c),
                     b = test::to_tensor(tape, {2, 35, 6}, u);
        const Tensor x = tape.empty({2, 35, 3}, DType::f32);
        const auto want = test::values(tape, engine::guidance(context, x, a, b, {2, rescale}));
        const auto scratch = tape.scratch(kernels::guidance_scratch_bytes(d, {2, rescale}));
        const Tensor& to = over_c ? a : b;
        tape.run([&](auto s) {
          kernels::guidance(s, d, a.in(), b.in(), {2, rescale}, scratch.get(), to.act());
        });
        EXPECT_EQ(test::values(tape, to), want);
      }
}

TEST(Guidance, TakesHalvesOfOneBatchAndRefusesWhatDoesNotFit) {
  engine::Context context{CpuStream{}};
  engine::Tape tape(context);
  const auto both = test::to_tensor(tape, {4, 3}, test::normal(12, 1));
  const auto c = engine::rows(both, 0, 2), u = engine::rows(both, 2, 2);
  const auto all = test::values(tape, both);
  EXPECT_EQ(test::join(test::values(tape, c), test::values(tape, u)), all);
  test::expect_close(test::values(tape, engine::guidance(context, c, c, u, {0, 0})),
                     test::values(tape, u), 0, 3 * 18 * 0x1p-24, "w = 0");
  test::expect_check([&] { engine::rows(both, 3, 2); }, "rows [3,5) of [4,3]");
  test::expect_check([&] { engine::guidance(context, c, c, both, {}); }, "u is [4,3]");
  test::expect_check([&] { engine::guidance(context, both, c, c, {}); },
                     "the data is [4,3], the network's output [2,3]");
  test::expect_check([&] { engine::guidance(context, c, c, u, {1, 1.5f}); }, "rescale 1.5");
}

}  // namespace
}  // namespace haze
