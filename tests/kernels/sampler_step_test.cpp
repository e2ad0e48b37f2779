// SPDX-License-Identifier: MIT
// sampler_step_test.cpp — one denoising step equals the formula in
// double from the same normals, in f32 and bf16, clipped or not, with
// and without history and learned variances, however the batch is split.
#include "engine/process/process.h"
#include "engine/random.h"
#include "kernels/sampler_step/reference.h"
#include "tests/support/normals.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::Noise;
using engine::Tensor;
using kernels::SamplerStep;

const SamplerStep kPlain{.xt = 1.01f, .out = -0.03f, .sigma = 0.02f};
const SamplerStep kClipped{.x0_from_xt = 2.5f,
                           .x0_from_out = -1.7f,
                           .clip = true,
                           .lo = -1,
                           .hi = 1,
                           .x0 = 0.4f,
                           .xt = 0.6f,
                           .out = 0.1f,
                           .sigma = 0.3f};
const SamplerStep kUnclipped{.x0_from_xt = 2.5f,
                             .x0_from_out = -1.7f,
                             .lo = 0,
                             .hi = 0,
                             .x0 = 0.4f,
                             .xt = 0.6f,
                             .out = 0.1f,
                             .sigma = 0.3f};
const SamplerStep kToData{
    .x0_from_xt = 1.1f, .x0_from_out = -0.2f, .clip = true, .lo = 0, .hi = 1, .x0 = 1};
const SamplerStep kFirst{.x0_from_xt = 1.1f,  // of a method that looks back: nothing is there yet
                         .x0_from_out = -0.8f,
                         .x0 = 0.3f,
                         .xt = 0.7f,
                         .keep_x0 = 0.5f,
                         .keep_xt = -0.25f,
                         .keep_out = 0.125f};
const SamplerStep kSecond{.x0_from_xt = 1.1f,
                          .x0_from_out = -0.8f,
                          .clip = true,
                          .x0 = 0.6f,
                          .xt = 0.7f,
                          .history = -0.3f,
                          .sigma = 0.1f,
                          .keep_x0 = 1,
                          .keep_out = 0.5f};
const SamplerStep kLearned{.x0_from_xt = 1.5f,
                           .x0_from_out = -0.7f,
                           .clip = true,
                           .x0 = 0.4f,
                           .xt = 0.6f,
                           .sigma = 1,
                           .learned = true,
                           .log_variance_min = -4.5f,
                           .log_variance_max = -0.5f};

struct Case {
  int pixels, channels;
  bool variances;
  engine::Shape shape(int n) const { return {n, pixels, channels}; }
  engine::Shape outputs(int n) const { return {n, pixels, variances ? 2 * channels : channels}; }
  kernels::PredictionDims dims(int n) const { return {n, pixels, channels, variances}; }
  std::string str() const { return cat(pixels, 'x', channels, variances ? " with variances" : ""); }
};

/// A step and every output of it against the reference.
void expect_step(const Stream stream, DType type, const SamplerStep& c, const Case& k) {
  const int n = 3;
  engine::Context context(stream, type);
  engine::Tape tape(context);
  const std::size_t size = k.shape(n).size();
  const auto x = test::normal(size, 1), h = test::normal(size, 3);
  const auto out = test::normal(k.outputs(n).size(), 2, 0, 1, type);
  const Noise drawn{{}, {9, engine::streams::kSampler, 4}, 100};
  const auto z = test::drawn_normals(drawn.key, 100, n, k.pixels * k.channels);
  std::vector<double> want(size), want_h = h, want_x0(size);
  kernels::reference::sampler_step(k.dims(n), c, x.data(), out.data(), z.data(), want.data(),
                                   want_h.data(), want_x0.data());
  const Noise given{test::to_tensor(tape, k.shape(n), z), {}, 0};
  // Terms are below 2.5·5 and rounded at most eight times; a learned sigma's exponent is below 4
  // and rounded four times, its exp once.
  const double absolute = 8 * 12.5 * 0x1p-24 + (c.learned ? 5 * 5 * 4 * 0x1p-24 : 0);
  for (const auto& [noise, outputs] : {std::pair{drawn, true}, {given, c.history != 0}}) {
    const std::string label =
        cat(k.str(), ' ', name_of(type), " x0 ", c.x0, " history ", c.history);
    const Tensor now = test::to_tensor(tape, k.shape(n), x);
    const Tensor e = test::to_tensor(tape, k.outputs(n), out, type);
    // What nobody has written yet must not be read.
    const Tensor history =
        test::to_tensor(tape, k.shape(n), c.history == 0 ? std::vector<double>(size, NAN) : h);
    const Tensor x0 = test::to_tensor(tape, k.shape(n), std::vector<double>(size, NAN));
    const Tensor next = engine::sampler_step(
        context, {c}, now, e, noise,
        outputs ? engine::SamplerOutputs{history, x0} : engine::SamplerOutputs{});
    test::expect_close(test::values(tape, now), want, 0, absolute, label);
    EXPECT_EQ(next.dtype, type);
    EXPECT_EQ(next.raw() == now.raw(), type == DType::f32);
    test::expect_close(test::values(tape, next), test::values(tape, now), 2 * test::rounding(type),
                       0, "for the network");
    if (!outputs) continue;
    test::expect_close(test::values(tape, history), want_h, 0, absolute, label + ": history");
    test::expect_close(test::values(tape, x0), want_x0, 0, absolute, label + ": x0");
  }
}

TEST(SamplerStep, EqualsTheFormulaWithNoiseDrawnOrGiven) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const SamplerStep& c : {kPlain, kClipped, kUnclipped, kToData, kFirst, kSecond})
        for (const Case& k : {Case{1, 1, false},
                              {1, 2, false},
                              {49, 1, false},
                              {64, 4, false},
                              {11 * 13, 3, false},
                              {35, 3, true}})
          expect_step(stream, type, c, k);
}

TEST(SamplerStep, TakesTheVarianceFromTheNetwork) {
  SamplerStep last = kLearned;  // nothing is added in the last step
  last.sigma = 0;
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const SamplerStep& c : {kLearned, last})
        for (const Case& k :
             {Case{1, 1, true}, {1, 2, true}, {64, 4, true}, {77, 3, true}, {9 * 11, 5, true}})
          expect_step(stream, type, c, k);
}

TEST(SamplerStep, DoesNotDependOnHowABatchIsSplit) {
  for (const Stream stream : test::streams()) {
    const int n = 5, elements = 301;
    const auto x = test::normal(n * elements, 1), eps = test::normal(n * elements, 2);
    const auto run = [&](int from, int count) {
      engine::Context context{stream};
      engine::Tape tape(context);
      const auto part = [&](const std::vector<double>& v) {
        const std::vector<double> cut(v.begin() + from * elements,
                                      v.begin() + (from + count) * elements);
        return test::to_tensor(tape, {count, elements}, cut);
      };
      const Noise z{{}, {3, 4, 5}, 20 + std::uint32_t(from)};
      return test::values(tape, engine::sampler_step(context, {kClipped}, part(x), part(eps), z));
    };
    EXPECT_EQ(run(0, 5), test::join(run(0, 2), run(2, 3)));
  }
}

TEST(SamplerStep, DoesNotHideNan) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto x = test::to_tensor(tape, {1, 3}, {0, NAN, 0}),
               e = test::to_tensor(tape, {1, 3}, {0, 0, NAN});
    const auto y = test::values(tape, engine::sampler_step(context, {kClipped}, x, e, {}));
    EXPECT_TRUE(std::isfinite(y[0]) && std::isnan(y[1]) && std::isnan(y[2]));
  }
}

TEST(SamplerStep, CoefficientsAndStepMayLieInDeviceMemory) {
  const int n = 2, pixels = 37;
  for (const Stream stream : test::streams())
    for (const SamplerStep& coefficients : {kClipped, kSecond, kLearned}) {
      engine::Context context{stream, DType::bf16};
      engine::Tape tape(context);
      const bool learned = coefficients.learned;
      const auto x = test::normal(n * pixels, 1), h = test::normal(n * pixels, 3);
      const auto e = test::to_tensor(tape, {n, pixels, learned ? 2 : 1},
                                     test::normal(n * pixels * (learned ? 2 : 1), 2), DType::bf16);
      const auto data = [&](const std::vector<double>& v) {
        return test::to_tensor(tape, {n, pixels, 1}, v);
      };
      const Tensor now = data(x), want = data(x), history = data(h), want_history = data(h);
      const Tensor want_next = engine::sampler_step(context, {coefficients}, want, e,
                                                    {{}, {3, 4, 5}, 20}, {want_history, {}});
      const auto step = test::to_tensor_i32(tape, {5});
      engine::DeviceValue<SamplerStep> c(context);
      c.set(context, coefficients);
      const RandomKey key{3, 4, {99, reinterpret_cast<const std::uint32_t*>(step.i32())}};
      const Tensor next = engine::sampler_step(context, late_at(c.on_device()), now, e,
                                               {{}, key, 20}, {history, {}});
      EXPECT_EQ(test::values(tape, now), test::values(tape, want));
      EXPECT_EQ(test::values(tape, next), test::values(tape, want_next));
      EXPECT_EQ(test::values(tape, history), test::values(tape, want_history));
    }
}

TEST(SamplerStep, RefusesWhatDoesNotFit) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream, DType::bf16};
    engine::Tape tape(context);
    const auto x = test::to_tensor(tape, {2, 3}, test::normal(6, 1));
    const auto out = test::to_tensor(tape, {2, 3}, test::normal(6, 1), DType::bf16);
    const auto wide = test::to_tensor(tape, {2, 9}, test::normal(18, 1), DType::bf16);
    const auto step = [&](const SamplerStep& c, const Tensor& o, const Tensor& h = {}) {
      const auto before = test::to_tensor(tape, {2, 3}, test::normal(6, 1));
      return engine::sampler_step(context, {c}, before, o, {}, {h, {}});
    };
    test::expect_check([&] { step(kPlain, x); }, "out is f32");
    test::expect_check([&] { step(kPlain, wide); },
                       "the data is [2,3], the network's output [2,9]");
    test::expect_check(
        [&] {
          step(kPlain, out, test::to_tensor(tape, {3, 2}, test::normal(6, 1)));
        },
        "x is [2,3], an output [3,2]");
    if (std::holds_alternative<CpuStream>(stream)) {
      test::expect_check([&] { step(kLearned, out); }, "a learned sigma without variances");
      test::expect_check([&] { step(kSecond, out); }, "history: -0.3 of none");
    } else {  // coefficients may lie where the host cannot look
      for (const SamplerStep& c : {kLearned, kSecond})
        for (const double v : test::values(tape, step(c, out))) EXPECT_TRUE(std::isnan(v));
    }
  }
}

TEST(ToActivations, RoundsOrReturnsTheSameTensor) {
  for (const DType type : {DType::f32, DType::bf16}) {
    engine::Context context(CpuStream{}, type);
    engine::Tape tape(context);
    const auto v = test::normal(77, 1);
    const auto x = test::to_tensor(tape, {7, 11}, v);
    const auto y = engine::to_activations(context, x);
    EXPECT_EQ(y.dtype, type);
    EXPECT_EQ(y.raw() == x.raw(), type == DType::f32);
    test::expect_close(test::values(tape, y), v, 2 * test::rounding(type), 0, name_of(type));
  }
}

}  // namespace
}  // namespace haze
