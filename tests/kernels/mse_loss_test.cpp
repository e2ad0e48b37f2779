// SPDX-License-Identifier: MIT
// mse_loss_test.cpp — value and gradient of the loss: the three proofs, against noise given or
// drawn again, and against targets and weights that depend on the time.
#include <omp.h>

#include "engine/process/process.h"
#include "engine/random.h"
#include "kernels/mse/mse.h"
#include "kernels/mse/reference.h"
#include "tests/support/normals.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::Noise;
namespace ref = kernels::reference;
using test::leaf;

/// Tables over t: every kind of target, some with zeros.
struct Tables {
  std::vector<float> from_noise{1, 0, 0.6f, -0.3f, 0}, from_x0{0, 1, -0.8f, 0.4f, 0},
      weight{1, 0.5f, 3, 0, 2};
  enum Use { none = 0, noise = 1, x0 = 2, weights = 4 };
  kernels::MseTarget host(int use, const std::vector<std::int32_t>& t) const {
    kernels::MseTarget r;
    r.t = t.data();
    r.steps = 5;
    if (use & noise) r.from_noise = from_noise.data();
    if (use & x0) r.from_x0 = from_x0.data();
    if (use & weights) r.weight = weight.data();
    return r;
  }
  engine::Target on(engine::Context& c, int use, const std::vector<std::int32_t>& t) const {
    engine::Target r;
    const auto table = [&](const std::vector<float>& v) {
      return engine::upload(c, {5}, std::span(v));
    };
    if (use) r.t = engine::upload(c, {int(t.size())}, std::span(t));
    if (use & noise) r.from_noise = table(from_noise);
    if (use & x0) r.from_x0 = table(from_x0);
    if (use & weights) r.weight = table(weight);
    return r;
  }
};

TEST(MseLoss, GradientMatchesFiniteDifferences) {
  const Tables tables;
  const std::vector<std::int32_t> t{2, 0, 1};
  for (const bool variances : {false, true}) {
    const kernels::PredictionDims d{3, 5, 2, variances};
    const auto target = tables.host(7, t);
    const auto pred = test::normal(std::size_t(d.n) * d.outputs(), 1), eps = test::normal(30, 2),
               x0 = test::normal(30, 3);
    std::vector<double> dpred(pred.size());
    ref::mse_backward(d, target, pred.data(), eps.data(), x0.data(), 0.7, dpred.data());
    const auto f = [&](const std::vector<double>& in) {
      return std::vector{ref::mse_forward(d, target, in.data(), eps.data(), x0.data())};
    };
    test::expect_gradient(f, pred, {0.7}, dpred, 1e-7, "scale 0.7");
  }
}

/// Value, gradient and items' losses of every backend and type, noise drawn and given.
void expect_loss(const kernels::PredictionDims& d, int use) {
  const Tables tables;
  const std::vector<std::int32_t> t{4, 1, 0, 3, 2};
  const std::size_t size = d.items().size(), outputs = std::size_t(d.n) * d.outputs();
  const engine::Shape data{d.n, d.pixels, d.channels};
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16}) {
      engine::Context context(stream, type);
      engine::Tape tape(context);
      const auto pred = test::normal(outputs, 1, 0, 1, type), x0 = test::normal(size, 3);
      const Noise drawn{{}, {9, engine::streams::kNoise, 4}, 100};
      const auto eps = test::drawn_normals(drawn.key, 100, d.n, d.elements());
      const Noise given{test::to_tensor(tape, data, eps), {}, 0};
      std::vector<double> dpred(outputs), items(std::size_t(d.n));
      const auto host = tables.host(use, t);
      ref::mse_backward(d, host, pred.data(), eps.data(), x0.data(), 0.25, dpred.data());
      const double loss =
          ref::mse_forward(d, host, pred.data(), eps.data(), x0.data(), items.data());
      for (const Noise& noise : {drawn, given}) {
        auto target = tables.on(context, use, t);
        target.noise = noise;
        target.channels = d.channels;
        if (use & Tables::x0) target.x0 = test::to_tensor(tape, data, x0);
        const auto p = leaf(tape, {d.n, d.pixels, d.outputs() / d.pixels}, pred, true, type);
        const auto item_loss = tape.empty({d.n}, DType::f32);
        const auto l = engine::mse_loss(tape, p, target, 0.25, item_loss);
        const std::string label =
            cat(d.pixels, 'x', d.channels, " tables ", use, d.variances ? " variances" : "");
        // A difference has up to four roundings and the draw's 2 ulp, of numbers below 10; the mean
        // of squares, weighted by at most 3, moves by twice that times a typical difference of at
        // most 2. Each gradient moves by that error times 0.25·2·3/size.
        const double error = use ? 10 * 5 * 0x1p-24 : 6 * 0x1p-23;
        test::expect_close(test::value_of(tape, l), std::vector{loss}, 1e-6, 3 * 4 * error, label);
        test::expect_close(test::values(tape, item_loss), items, 1e-6, 4 * error, label);
        tape.backward(l);
        test::expect_close(test::grad_of(tape, p), dpred, 2 * test::rounding(type) + 0x1p-22,
                           1.5 / double(size) * error, label);
      }
    }
}

TEST(MseLoss, BackendsMatchReferenceWithNoiseDrawnOrGiven) {
  for (const auto& [pixels, channels] : {std::pair{1, 1}, {49, 1}, {64, 4}, {17 * 19, 3}})
    expect_loss({5, pixels, channels}, Tables::none);
}

TEST(MseLoss, TargetAndWeightMayDependOnTime) {
  for (const int use : {1, 2, 3, 4, 7})
    for (const bool variances : {false, true})
      expect_loss({5, variances ? 95 : 100, variances ? 3 : 4, variances}, use);
}

TEST(MseLoss, LeavesThePlacesOfVariancesAlone) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const kernels::PredictionDims d{2, 5, 3, true};
    auto values = test::normal(60, 1);
    for (std::size_t i = 0; i < 60; ++i)
      if (i % 6 >= 3) values[i] = NAN;  // read by nobody
    const auto pred = test::to_tensor(tape, {2, 5, 6}, values);
    const auto dpred = test::to_tensor(tape, {2, 5, 6}, std::vector<double>(60, 7));
    const auto loss = tape.empty({1}, DType::f32);
    const auto scratch = tape.scratch(kernels::mse_scratch_bytes(d.items()));
    tape.run([&](auto s) {
      kernels::mse(s, d, pred.in(), {{nullptr, {1, 2, 3}, 0}}, 1, scratch.get(), loss.f32(),
                   dpred.act());
    });
    EXPECT_TRUE(std::isfinite(test::values(tape, loss)[0]));
    const auto got = test::values(tape, dpred);
    for (std::size_t i = 0; i < 60; ++i) EXPECT_EQ(got[i] == 7, i % 6 >= 3) << i;
  }
}

TEST(MseLoss, ATimeOutsideItsTableIsRefusedOrNan) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    auto target = Tables().on(context, Tables::weights, {0, 5});
    const auto p = leaf(tape, {2, 3}, test::normal(6, 1));
    if (std::holds_alternative<CpuStream>(stream)) {
      test::expect_check([&] { engine::mse_loss(tape, p, target); }, "t[1] is 5, must be in [0,5)");
      continue;
    }
    const auto loss = engine::mse_loss(tape, p, target);
    EXPECT_TRUE(std::isnan(test::value_of(tape, loss)[0]));
    tape.backward(loss);
    const auto dp = test::grad_of(tape, p);
    for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(std::isnan(dp[i]), i >= 3) << i;
  }
}

TEST(MseLoss, IsTheNoiseThatQSampleAdded) {
  for (const Stream stream : test::streams()) {
    // With sqrt(ᾱ) = 0 and sqrt(1-ᾱ) = 1, x_t is eps itself: a perfect prediction.
    engine::Context context{stream};
    engine::Tape tape(context);
    const std::vector<float> zero{0}, one{1};
    const engine::NoiseTables tables{upload(context, {1}, std::span(zero)),
                                     upload(context, {1}, std::span(one))};
    const std::vector<std::uint8_t> bytes(2 * 5 * 7 * 3, 100);
    const std::vector<std::int32_t> index{1, 0, 1};
    const engine::ImageNoising options{5, {6}, 7, false, true};
    const auto noised =
        engine::q_sample_images(context, upload(context, {2, 5, 7, 3}, std::span(bytes)),
                                upload(context, {3}, std::span(index)), tables, options);
    const auto loss =
        engine::mse_loss(tape, tape.leaf(noised.x_t), {engine::training_noise(options)});
    EXPECT_LT(test::value_of(tape, loss)[0], 1e-12);
  }
}

TEST(MseLoss, SplitBatchesAddUpToTheWhole) {
  for (const Stream stream : test::streams()) {
    const int n = 6, elements = 301;
    const auto pred = test::normal(n * elements, 1);
    const auto run = [&](int first, int count, float scale) {
      engine::Context context{stream};
      engine::Tape tape(context);
      const auto p =
          leaf(tape, {count, elements},
               {pred.begin() + first * elements, pred.begin() + (first + count) * elements});
      const auto l = engine::mse_loss(tape, p, {{{}, {1, 2, 3}, 10 + std::uint32_t(first)}}, scale);
      tape.backward(l);
      return test::join(test::value_of(tape, l), test::grad_of(tape, p));
    };
    const auto whole = run(0, 6, 1), head = run(0, 3, 0.5f), tail = run(3, 3, 0.5f);
    test::expect_close(std::vector{(head[0] + tail[0]) / 2}, std::vector{whole[0]}, 1e-6, 0,
                       "value");
    const std::vector<double> gradient(whole.begin() + 1, whole.end());
    auto parts = std::vector<double>(head.begin() + 1, head.end());
    parts.insert(parts.end(), tail.begin() + 1, tail.end());
    test::expect_close(parts, gradient, 0x1p-22, 0, "gradient");
  }
}

TEST(MseLoss, DoesNotDependOnTheNumberOfThreads) {
  const int threads = omp_get_max_threads();
  std::vector<std::vector<double>> results;
  for (const int n : {1, 2, 3, 7}) {
    omp_set_num_threads(n);
    engine::Context context{CpuStream{}};
    engine::Tape tape(context);
    const auto p = leaf(tape, {3, 5003}, test::normal(3 * 5003, 1));
    const auto l = engine::mse_loss(tape, p, {{{}, {1, 2, 3}, 0}});
    tape.backward(l);
    results.push_back(test::join(test::value_of(tape, l), test::grad_of(tape, p)));
  }
  omp_set_num_threads(threads);
  for (const auto& r : results) EXPECT_EQ(r, results[0]);
}

TEST(MseLoss, EveryBackendGivesTheSameLossToOneUlp) {
  // The targets are given, so that the differences are the same bits. Sums in double of 15,000
  // squares differ by 15,000·2^-53 with their order: they round to f32s that are neighbours at
  // most. The gradient is one product.
  std::vector<std::vector<double>> results;
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto p = leaf(tape, {3, 5003}, test::normal(3 * 5003, 1));
    const Noise given{test::to_tensor(tape, {3, 5003}, test::normal(3 * 5003, 2)), {}, 0};
    const auto l = engine::mse_loss(tape, p, {given}, 0.3f);
    tape.backward(l);
    results.push_back(test::join(test::value_of(tape, l), test::grad_of(tape, p)));
    EXPECT_NEAR(results.back()[0], results[0][0], results[0][0] * 0x1p-23);
    results.back()[0] = results[0][0];
    EXPECT_EQ(results.back(), results[0]);
  }
}

TEST(MseLoss, TheStepMayLieInDeviceMemory) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto step = test::to_tensor_i32(tape, {3});
    const auto run = [&](const RandomKey& key) {
      const auto p = leaf(tape, {2, 301}, test::normal(602, 1));
      return test::value_of(tape, engine::mse_loss(tape, p, {{{}, key, 5}}));
    };
    EXPECT_EQ(run({1, 2, {99, reinterpret_cast<const std::uint32_t*>(step.i32())}}),
              run({1, 2, 3}));
  }
}

TEST(MseLoss, WiringAndRefusals) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto v = test::normal(6, 1);
    const auto p = leaf(tape, {2, 3}, v), frozen = leaf(tape, {2, 3}, v, false);
    const Noise zero{test::to_tensor(tape, {2, 3}, std::vector<double>(6)), {}, 0};
    // d/dp of mse(2p + frozen, 0) with frozen = p's values: 2·2·3p/6.
    const auto y = engine::add(tape, engine::add(tape, p, p), frozen);
    tape.backward(engine::mse_loss(tape, y, {zero}));
    test::expect_close(test::grad_of(tape, p), test::times(v, 2), 1e-6, 0, "used twice");
    EXPECT_FALSE(tape.grad(frozen));
    engine::Tape silent(context, false);
    const auto nan = engine::mse_loss(silent, leaf(silent, {1, 2}, {1, NAN}), {});
    EXPECT_TRUE(std::isnan(test::value_of(silent, nan)[0]));
    const auto q = leaf(tape, {3, 2}, v);
    test::expect_check([&] { engine::mse_loss(tape, q, {zero}); },
                       "pred is [3,2], target is [2,3]");
    engine::Target target{zero};
    target.channels = 2;
    test::expect_check([&] { engine::mse_loss(tape, p, target); },
                       "the data is [2,2], the network's output [2,3]");
    target = {zero};
    target.from_x0 = test::to_tensor(tape, {5}, test::normal(5, 1));
    test::expect_check([&] { engine::mse_loss(tape, p, target); }, "tables need t");
    target.t = test::to_tensor_i32(tape, {0, 1});
    test::expect_check([&] { engine::mse_loss(tape, p, target); }, "a target with x0 needs x0");
    target.weight = test::to_tensor(tape, {4}, test::normal(4, 1));
    test::expect_check([&] { engine::mse_loss(tape, p, target); }, "a table is [4], another [5]");
  }
}

}  // namespace
}  // namespace haze
