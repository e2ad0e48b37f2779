// mse_loss_test.cpp — value and gradient of the loss: the three proofs, against given targets and
// against noise drawn again.
#include <omp.h>

#include "engine/diffusion_ops.h"
#include "engine/random.h"
#include "kernels/mse/reference.h"
#include "tests/support/normals.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::Target;
namespace ref = kernels::reference;
using test::leaf;

TEST(MseLoss, GradientMatchesFiniteDifferences) {
  const std::size_t n = 35;
  const auto pred = test::normal(n, 1), target = test::normal(n, 2);
  std::vector<double> dpred(n);
  ref::mse_backward(n, pred.data(), target.data(), 0.7, dpred.data());
  const auto f = [&](const std::vector<double>& in) {
    return std::vector{ref::mse_forward(n, in.data(), target.data())};
  };
  test::expect_gradient(f, pred, {0.7}, dpred, 1e-7, "scale 0.7");
}

TEST(MseLoss, BackendsMatchReferenceWithTargetDrawnOrGiven) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const int elements : {1, 49, 256, 3 * 17 * 19}) {
        const int n = 5;
        const std::size_t size = std::size_t(n) * elements;
        engine::Context context(stream, type);
        engine::Tape tape(context);
        const auto pred = test::normal(size, 1, 0, 1, type);
        const Target drawn{{}, {9, engine::streams::kNoise, 4}, 100};
        const auto target = test::drawn_normals(drawn.key, 100, n, elements);
        const Target given{test::to_tensor(tape, {n, elements}, target), {}, 0};
        std::vector<double> dpred(size);
        ref::mse_backward(size, pred.data(), target.data(), 0.25, dpred.data());
        const double loss = ref::mse_forward(size, pred.data(), target.data());
        for (const Target& t : {drawn, given}) {
          const auto p = leaf(tape, {n, elements}, pred, true, type);
          const auto l = engine::mse_loss(tape, p, t, 0.25);
          // Each difference has one rounding and the draw's 2 ulp, of numbers below 6; the mean of
          // squares moves by twice that times a typical difference of at most 2.
          test::expect_close(test::value_of(tape, l), std::vector{loss}, 1e-6, 4 * 6 * 0x1p-23,
                             cat(elements, " elements"));
          tape.backward(l);
          test::expect_close(test::grad_of(tape, p), dpred, 2 * test::rounding(type) + 0x1p-22,
                             0.5 / double(size) * 6 * 0x1p-22, cat(elements, " elements"));
        }
      }
}

TEST(MseLoss, IsTheNoiseThatQSampleAdded) {
  for (const Stream stream : test::streams()) {
    // With sqrt(ᾱ) = 0 and sqrt(1-ᾱ) = 1, x_t is eps itself: a perfect prediction.
    engine::Context context{stream};
    engine::Tape tape(context);
    const std::vector<float> zero{0}, one{1};
    const engine::NoiseTables tables{to_device(context, {1}, std::span(zero)),
                                     to_device(context, {1}, std::span(one))};
    const std::vector<std::uint8_t> bytes(2 * 5 * 7 * 3, 100);
    const std::vector<std::int32_t> index{1, 0, 1};
    const engine::ImageNoising options{5, 6, 7, false, true};
    const auto noised =
        engine::q_sample_images(context, to_device(context, {2, 5, 7, 3}, std::span(bytes)),
                                to_device(context, {3}, std::span(index)), tables, options);
    const auto loss =
        engine::mse_loss(tape, tape.leaf(noised.x_t), engine::training_noise(options));
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
      const auto l = engine::mse_loss(tape, p, {{}, {1, 2, 3}, 10 + std::uint32_t(first)}, scale);
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
    const auto l = engine::mse_loss(tape, p, {{}, {1, 2, 3}, 0});
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
    const Target given{test::to_tensor(tape, {3, 5003}, test::normal(3 * 5003, 2)), {}, 0};
    const auto l = engine::mse_loss(tape, p, given, 0.3f);
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
      return test::value_of(tape, engine::mse_loss(tape, p, {{}, key, 5}));
    };
    EXPECT_EQ(run({1, 2, 99, reinterpret_cast<const std::uint32_t*>(step.i32())}), run({1, 2, 3}));
  }
}

TEST(MseLoss, WiringAndRefusals) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto v = test::normal(6, 1);
    const auto p = leaf(tape, {2, 3}, v), frozen = leaf(tape, {2, 3}, v, false);
    const Target zero{test::to_tensor(tape, {2, 3}, std::vector<double>(6)), {}, 0};
    // d/dp of mse(2p + frozen, 0) with frozen = p's values: 2·2·3p/6.
    const auto y = engine::add(tape, engine::add(tape, p, p), frozen);
    tape.backward(engine::mse_loss(tape, y, zero));
    test::expect_close(test::grad_of(tape, p), test::times(v, 2), 1e-6, 0, "used twice");
    EXPECT_FALSE(tape.grad(frozen));
    engine::Tape silent(context, false);
    const auto nan = engine::mse_loss(silent, leaf(silent, {1, 2}, {1, NAN}), {});
    EXPECT_TRUE(std::isnan(test::value_of(silent, nan)[0]));
    const auto q = leaf(tape, {3, 2}, v);
    test::expect_check([&] { engine::mse_loss(tape, q, zero); }, "pred is [3,2], target is [2,3]");
  }
}

}  // namespace
}  // namespace haze
