// SPDX-License-Identifier: MIT
// adam_skip_test.cpp — a step that went wrong changes nothing: not a bit of weights, moments, EMA and
// bf16 copy, on every backend and in every version, wherever the bad number stands.
#include <cfloat>
#include <cmath>
#include <functional>

#include "engine/adam.h"
#include "kernels/adam/adam.h"
#include "kernels/adam/reference.h"
#include "kernels/adam/versions.h"
#include "tests/kernels/adam_cases.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::Tensor;
using kernels::AdamStep;

constexpr float kInf = INFINITY;

/// What a step has to work on, and what went wrong with it.
struct Given {
  std::size_t n;
  std::size_t at = 0;  // the gradient's element
  float gradient = 1;  // that stands there
  std::vector<float> losses = {};
  AdamStep step = test::kStep;
};

using Version = std::function<void(const engine::Tape&, std::size_t, const AdamStep&,
                                   const kernels::AdamBuffers&, float*)>;

void shipped(const engine::Tape& tape, std::size_t n, const AdamStep& c,
             const kernels::AdamBuffers& b, float* result) {
  const auto scratch = tape.scratch(kernels::global_norm_scratch_bytes(n));
  tape.run([&](auto s) { kernels::adam_step(s, n, {c}, b, scratch.get(), result); });
}
#if defined(HAZE_CUDA)
void unfused(const engine::Tape& tape, std::size_t n, const AdamStep& c,
             const kernels::AdamBuffers& b, float* result) {
  const auto scratch = tape.scratch(kernels::adam_step_v1_scratch_bytes(n));
  kernels::adam_step_v1(std::get<CudaStream>(tape.context().stream), n, c, b, scratch.get(),
                        result);
}
#endif

/// Was it skipped? Expects either all buffers as they were, or all of them moved.
bool skipped(const Stream& stream, const Version& version, const Given& given) {
  engine::Context context{stream};
  const engine::Tape tape(context);
  const std::size_t n = given.n;
  std::vector<Tensor> at;  // w, m, v, ema
  for (unsigned i = 0; i < 4; ++i)
    at.push_back(test::to_tensor(tape, {int(n)}, test::normal(n, i, 3, 0.1)));
  auto gradient = test::normal(n, 9, 0, 0.1);
  gradient[given.at] = double(given.gradient);
  const Tensor g = test::to_tensor(tape, {int(n)}, gradient);
  const Tensor half = tape.empty({int(n)}, DType::bf16);
  engine::convert(stream, half, at[0]);
  at.push_back(half);
  const Tensor result = tape.empty({2}, DType::f32);
  const Tensor losses = given.losses.empty()
                            ? Tensor{}
                            : engine::upload(context, {int(given.losses.size())}, given.losses);
  std::vector<std::vector<double>> before, after;
  for (const Tensor& t : at) before.push_back(test::values(tape, t));
  version(tape, n, given.step,
          {at[0].f32(), g.f32(), at[1].f32(), at[2].f32(), at[3].f32(),
           static_cast<bf16*>(half.raw()), losses.f32(), int(given.losses.size())},
          result.f32());
  for (const Tensor& t : at) after.push_back(test::values(tape, t));
  const auto said = test::values(tape, result);
  EXPECT_EQ(std::isfinite(said[0]), std::isfinite(given.gradient)) << said[0];
  EXPECT_TRUE(said[1] == 0 || said[1] == 1) << said[1];
  for (std::size_t k = 0; k < at.size(); ++k)
    if (said[1] == 0)
      EXPECT_EQ(after[k], before[k]) << k;
    else
      EXPECT_NE(after[k], before[k]) << k;
  return said[1] == 0;
}

/// Every backend and version.
void everywhere(const std::function<void(const Stream&, const Version&)>& f) {
  for (const Stream& stream : test::streams()) {
    f(stream, shipped);
#if defined(HAZE_CUDA)
    if (cuda_of(stream)) f(stream, unfused);
#endif
  }
}

TEST(AdamSkip, OneBadGradientAnywhereLeavesEverythingAsItWas) {
  everywhere([](const Stream& stream, const Version& version) {
    for (const float clip : {0.0f, 1.0f})
      for (const std::size_t n :
           {std::size_t{1}, std::size_t{3}, std::size_t{1037}, kernels::kNormChunk + 5}) {
        Given given{.n = n};
        given.step.clip = clip;
        EXPECT_FALSE(skipped(stream, version, given)) << n;
        for (const float bad : {NAN, kInf, -kInf})
          for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
            given.at = at, given.gradient = bad;
            EXPECT_TRUE(skipped(stream, version, given)) << n << ", " << at << ": " << bad;
          }
      }
  });
}

TEST(AdamSkip, OneBadLossAmongManyLeavesEverythingAsItWas) {
  everywhere([](const Stream& stream, const Version& version) {
    for (const std::size_t parts : {1, 2, 257, 700})  // more than a block has threads
      for (const float bad : {1.0f, -FLT_MAX, NAN, kInf, -kInf})
        for (const std::size_t at : {std::size_t{0}, parts - 1}) {
          Given given{.n = 37, .losses = std::vector<float>(parts, 0.5f)};
          given.losses[at] = bad;
          EXPECT_EQ(skipped(stream, version, given), !std::isfinite(bad)) << parts << ": " << bad;
        }
  });
}

TEST(AdamSkip, ANormAboveTheLimitIsSkippedAndOneAtItIsNot) {
  everywhere([](const Stream& stream, const Version& version) {
    // One gradient of 3, whose norm is 3 to the bit.
    for (const auto& [limit, skip] : {std::pair{3.0f, false}, {std::nextafter(3.0f, 0.0f), true}}) {
      Given given{.n = 1, .gradient = 3};
      given.step.skip_above = limit;
      EXPECT_EQ(skipped(stream, version, given), skip) << limit;
    }
  });
}

/// Parameters between which padding lies.
void allocate(engine::Parameters& p, const Stream& stream) {
  p.add({.name = "a", .shape = {37, 3}, .init = engine::Init::normal, .bound = 1});
  p.add({.name = "b", .shape = {5}, .init = engine::Init::ones});
  p.add({.name = "c", .shape = {2, 3, 3, 7}, .init = engine::Init::uniform, .bound = 0.1f});
  p.allocate(stream, 42, true, true, DType::f32);
}

// Its square would be infinite in v, from where it never goes away. Clipped, it is harmless.
TEST(AdamSkip, AFiniteGradientThatCannotBeSquaredIsSkippedUnlessClipped) {
  for (const Stream& stream : test::streams())
    for (const auto& [size, clip, updated] : {std::tuple{0x1p64f, 0.0, 0.0},
                                              {0x1.fffffep63f, 0.0, 1.0},
                                              {0x1p64f, 1.0, 1.0},
                                              {0x1p120f, 1.0, 1.0}}) {
      engine::Parameters p;
      allocate(p, stream);
      engine::Context context{stream};
      engine::zero(stream, p.gradients);
      for (std::uint32_t i = 0; i < 3; ++i) p.mark_written({i});
      engine::overwrite(stream, p.range_of(p.gradients, {1}),
                        std::vector<float>{0, 0, -size, 0, 0});
      const Tensor result = engine::adam_step(context, p, {.grad_clip = clip}, 0);
      EXPECT_EQ(engine::download(context, result)[1], float(updated)) << size << ", " << clip;
      for (const Tensor& flat : {p.weights, p.adam_m, p.adam_v, p.ema})
        for (const float x : engine::download(context, flat)) ASSERT_TRUE(std::isfinite(x)) << size;
    }
}

TEST(AdamSkip, TheParametersWithBadGradientsAreNamed) {
  for (const Stream& stream : test::streams()) {
    engine::Parameters p;
    allocate(p, stream);
    engine::zero(stream, p.gradients);
    EXPECT_TRUE(engine::nonfinite_gradients(p).empty());
    engine::overwrite(stream, p.range_of(p.gradients, {1}), std::vector<float>{0, 0, 0, 0, -kInf});
    ASSERT_EQ(engine::nonfinite_gradients(p).size(), 1u);
    EXPECT_EQ(p[engine::nonfinite_gradients(p)[0]].name, "b");
    std::vector<float> c(126);
    c.front() = NAN;
    engine::overwrite(stream, p.range_of(p.gradients, {2}), c);
    EXPECT_EQ(engine::nonfinite_gradients(p).size(), 2u);
  }
}

TEST(AdamSkip, BiasCorrectionCountsUpdatesAsPyTorchsGradScalerHasIt) {
  const std::size_t n = 37;
  for (const Stream& stream : test::streams()) {
    engine::Context context{stream};
    const engine::Tape tape(context);
    kernels::reference::AdamW<double> torch;
    auto w = test::normal(n, 1);
    std::vector<Tensor> at = {test::to_tensor(tape, {int(n)}, w)};
    for (int i = 0; i < 2; ++i)
      at.push_back(test::to_tensor(tape, {int(n)}, std::vector<double>(n, 0.0)));
    const Tensor result = tape.empty({2}, DType::f32);
    std::uint32_t updates = 0;
    for (unsigned step = 0; step < 6; ++step) {
      auto g = test::normal(n, 10 + step);
      if (step % 3 == 0) g[step] = NAN;  // the first step, and one later
      const auto losses = std::vector<double>{step == 4 ? INFINITY : 0.5};
      const Tensor loss = test::to_tensor(tape, {1}, losses);
      const Tensor gradient = test::to_tensor(tape, {int(n)}, g);
      const AdamStep c = engine::adam_coefficients({}, updates);
      shipped(
          tape, n, c,
          {at[0].f32(), gradient.f32(), at[1].f32(), at[2].f32(), nullptr, nullptr, loss.f32(), 1},
          result.f32());
      const bool updated = torch.update_if_finite(w, g, losses);
      EXPECT_EQ(test::values(tape, result)[1] != 0, updated) << step;
      updates += updated;
    }
    EXPECT_EQ(updates, 3u);
    // As adam_test.cpp: about six roundings of an update of size 1e-3 and one of w, three times.
    test::expect_close(test::values(tape, at[0]), w, 3 * 0x1p-24, 3 * 6 * 0x1p-24 * 1e-3, "w");
  }
}

}  // namespace
}  // namespace haze
