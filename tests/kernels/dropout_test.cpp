// SPDX-License-Identifier: MIT
// dropout_test.cpp — dropout: the three proofs, the
// rate, and the same mask in forward and backward.
#include "kernels/dropout/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using kernels::DropoutMask;
using kernels::ItemDims;
namespace ref = kernels::reference;
using test::leaf;
const RandomKey kKey{3, 1002, 5};

TEST(Dropout, GradientMatchesFiniteDifferences) {
  const ItemDims d{3, 37};
  const DropoutMask mask(0.3f, kKey, 4);
  const auto x = test::normal(d.size(), 1), dy = test::normal(d.size(), 2);
  std::vector<double> dx(d.size());
  ref::dropout(d, mask, dy.data(), dx.data());
  const auto f = [&](const std::vector<double>& in) {
    std::vector<double> y(d.size());
    ref::dropout(d, mask, in.data(), y.data());
    return y;
  };
  test::expect_gradient(f, x, dy, dx, 1e-7, "p 0.3");
}

TEST(Dropout, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const float p : {0.1f, 0.5f, 0.9f})
        for (const ItemDims d : {ItemDims{2, 64}, {3, 1}, {3, 35 * 7}, {1, 256}, {2, 1003}}) {
          const DropoutMask mask(p, kKey, 11);
          const auto x = test::normal(d.size(), 1, 0, 1, type),
                     dy = test::normal(d.size(), 2, 0, 1, type);
          std::vector<double> y(d.size()), dx(d.size());
          ref::dropout(d, mask, x.data(), y.data());
          ref::dropout(d, mask, dy.data(), dx.data());
          engine::Context context(stream, type);
          engine::Tape tape(context);
          const auto a = leaf(tape, {d.n, d.elements}, x, true, type);
          const auto out = engine::dropout(tape, a, p, kKey, 11);
          const double u = 2 * test::rounding(type);  // one rounding of the product
          test::expect_close(test::value_of(tape, out), y, u, 0, cat("p ", p));
          tape.backward(out, test::to_tensor(tape, {d.n, d.elements}, dy, type));
          test::expect_close(test::grad_of(tape, a), dx, u, 0, cat("p ", p));
        }
}

TEST(Dropout, DropsAtTheRateAndKeepsTheMean) {
  for (const Stream stream : test::streams()) {
    const int n = 8, elements = 1 << 16;
    for (const float p : {0.001f, 0.1f, 0.5f}) {
      engine::Context context{stream};
      engine::Tape tape(context);
      const auto x = leaf(tape, {n, elements}, std::vector<double>(std::size_t(n) * elements, 1.0));
      const auto y = test::value_of(tape, engine::dropout(tape, x, p, kKey, 0));
      const double kept = 1 - std::round(p * 65536.0) / 65536;  // of 16 bits
      double mean = 0;
      for (const double v : y) {
        ASSERT_TRUE(v == 0 || std::abs(v * kept - 1) < 1e-6) << v;
        mean += v / double(y.size());
      }
      EXPECT_NEAR(mean, 1, 4.5 * std::sqrt((1 - kept) / kept / double(y.size()))) << p;
      // Neighbours, which share a Philox word, are dropped independently.
      double both = 0;
      for (std::size_t i = 0; i + 1 < y.size(); i += 2) both += y[i] == 0 && y[i + 1] == 0;
      const double pairs = double(y.size()) / 2, q = (1 - kept) * (1 - kept);
      EXPECT_NEAR(both / pairs, q, 4.5 * std::sqrt(q / pairs)) << p;
    }
  }
}

TEST(Dropout, MaskDependsOnKeyAndItemButNotOnTheSplit) {
  for (const Stream stream : test::streams()) {
    const int elements = 301;
    const auto run = [&](int n, RandomKey key, std::uint32_t first) {
      engine::Context context{stream};
      engine::Tape tape(context);
      const auto x = leaf(tape, {n, elements}, std::vector<double>(std::size_t(n) * elements, 1.0));
      return test::value_of(tape, engine::dropout(tape, x, 0.5f, key, first));
    };
    const auto whole = run(5, kKey, 7);
    EXPECT_EQ(whole, test::join(run(2, kKey, 7), run(3, kKey, 9)));
    EXPECT_NE(whole, run(5, kKey, 8));
    EXPECT_NE(whole, run(5, {3, 1003, 5}, 7));
    EXPECT_NE(whole, run(5, {3, 1002, 6}, 7));
  }
}

TEST(Dropout, TheStepMayLieInDeviceMemory) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto step = test::to_tensor_i32(tape, {5});
    const RandomKey key{3, 1002, {77, reinterpret_cast<const std::uint32_t*>(step.i32())}};
    const auto x = leaf(tape, {3, 301}, std::vector<double>(3 * 301, 1.0));
    const auto here = engine::dropout(tape, x, 0.5f, kKey, 7);
    EXPECT_EQ(test::value_of(tape, engine::dropout(tape, x, 0.5f, key, 7)),
              test::value_of(tape, here));
  }
}

TEST(Dropout, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  for (const Stream stream : test::streams()) {
    const ItemDims d{2, 77};
    const auto x = test::normal(d.size(), 1), dy = test::normal(d.size(), 2);
    std::vector<double> first(d.size()), second(d.size());
    ref::dropout(d, DropoutMask(0.4f, kKey, 0), dy.data(), first.data());
    ref::dropout(d, DropoutMask(0.4f, kKey, 9), dy.data(), second.data());
    for (std::size_t i = 0; i < d.size(); ++i) first[i] += second[i];
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto a = leaf(tape, {2, 77}, x), frozen = leaf(tape, {2, 77}, x, false);
    const auto z = engine::add(tape, engine::dropout(tape, a, 0.4f, kKey, 0),
                               engine::dropout(tape, a, 0.4f, kKey, 9));
    tape.backward(engine::add(tape, z, engine::dropout(tape, frozen, 0.4f, kKey, 0)),
                  test::to_tensor(tape, {2, 77}, dy));
    test::expect_close(test::grad_of(tape, a), first, 1e-6, 1e-6, "two masks");
    EXPECT_FALSE(tape.grad(frozen));
  }
}

TEST(Dropout, NoneReturnsItsInputNanStaysAndBadRatesAreRefused) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto x = leaf(tape, {1, 64}, std::vector<double>(64, NAN));
    EXPECT_EQ(engine::dropout(tape, x, 0, kKey, 0).id, x.id);
    for (const double v : test::value_of(tape, engine::dropout(tape, x, 0.5f, kKey, 0)))
      EXPECT_TRUE(std::isnan(v));
    for (const float p : {-0.1f, 1.0f, NAN})
      test::expect_check([&] { engine::dropout(tape, x, p, kKey, 0); }, "in [0,1)");
  }
}

}  // namespace
}  // namespace haze
