// sampler_step_test.cpp — one denoising step equals the formula in double from the same normals, in
// f32 and bf16, clipped or not, however the batch is split.
#include "engine/diffusion_ops.h"
#include "engine/random.h"
#include "kernels/sampler_step/reference.h"
#include "tests/support/normals.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::Noise;
using engine::Tensor;
using kernels::SamplerStep;

const SamplerStep kPlain{.xt = 1.01f, .eps = -0.03f, .sigma = 0.02f};
const SamplerStep kClipped{.x0_from_xt = 2.5f,
                           .x0_from_eps = -1.7f,
                           .x0 = 0.4f,
                           .xt = 0.6f,
                           .eps = 0.1f,
                           .sigma = 0.3f,
                           .clip = true,
                           .lo = -1,
                           .hi = 1};
const SamplerStep kUnclipped{.x0_from_xt = 2.5f,
                             .x0_from_eps = -1.7f,
                             .x0 = 0.4f,
                             .xt = 0.6f,
                             .eps = 0.1f,
                             .sigma = 0.3f,
                             .lo = 0,
                             .hi = 0};
const SamplerStep kToData{
    .x0_from_xt = 1.1f, .x0_from_eps = -0.2f, .x0 = 1, .clip = true, .lo = 0, .hi = 1};

TEST(SamplerStep, EqualsTheFormulaWithNoiseDrawnOrGiven) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const SamplerStep& c : {kPlain, kClipped, kUnclipped, kToData})
        for (const int elements : {1, 2, 49, 256, 3 * 17 * 19}) {
          const int n = 3;
          engine::Context context(stream, type);
          engine::Tape tape(context);
          const auto x = test::normal(std::size_t(n) * elements, 1);
          const auto eps = test::normal(x.size(), 2, 0, 1, type);
          const Noise drawn{{}, {9, engine::streams::kSampler, 4}, 100};
          const auto z = test::drawn_normals(drawn.key, 100, n, elements);
          std::vector<double> want(x.size());
          kernels::reference::sampler_step({n, elements}, c, x.data(), eps.data(), z.data(),
                                           want.data());
          const Noise given{test::to_tensor(tape, {n, elements}, z), {}, 0};
          for (const Noise& noise : {drawn, given}) {
            const Tensor now = test::to_tensor(tape, {n, elements}, x);
            const Tensor e = test::to_tensor(tape, {n, elements}, eps, type);
            const Tensor next = engine::sampler_step(context, c, now, e, noise);
            // Seven roundings of terms below 2.5·5.
            test::expect_close(test::values(tape, now), want, 0, 7 * 12.5 * 0x1p-24,
                               cat(elements, " elements"));
            EXPECT_EQ(next.dtype, type);
            EXPECT_EQ(next.raw() == now.raw(), type == DType::f32);
            test::expect_close(test::values(tape, next), test::values(tape, now),
                               2 * test::rounding(type), 0, "for the network");
          }
        }
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
      return test::values(tape, engine::sampler_step(context, kClipped, part(x), part(eps), z));
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
    const auto y = test::values(tape, engine::sampler_step(context, kClipped, x, e, {}));
    EXPECT_TRUE(std::isfinite(y[0]) && std::isnan(y[1]) && std::isnan(y[2]));
  }
}

TEST(SamplerStep, CoefficientsAndStepMayLieInDeviceMemory) {
  const int n = 2, elements = 37;
  for (const Stream stream : test::streams()) {
    engine::Context context{stream, DType::bf16};
    engine::Tape tape(context);
    const auto x = test::normal(n * elements, 1), eps = test::normal(n * elements, 2);
    const Tensor now = test::to_tensor(tape, {n, elements}, x),
                 want = test::to_tensor(tape, {n, elements}, x);
    const Tensor e = test::to_tensor(tape, {n, elements}, eps, DType::bf16);
    const Tensor next = tape.empty({n, elements}, DType::bf16);
    const Tensor want_next = engine::sampler_step(context, kClipped, want, e, {{}, {3, 4, 5}, 20});
    const auto step = test::to_tensor_i32(tape, {5});
    const auto c = tape.scratch(sizeof(SamplerStep));
    const RandomKey key{3, 4, 99, reinterpret_cast<const std::uint32_t*>(step.i32())};
    tape.run([&](auto s) {
      kernels::copy_in(s, c.get(), &kClipped, sizeof(SamplerStep));
      kernels::sampler_step(s, {n, elements}, kPlain, now.f32(), e.in(), {nullptr, key, 20},
                            now.f32(), next.act(), static_cast<const SamplerStep*>(c.get()));
    });
    EXPECT_EQ(test::values(tape, now), test::values(tape, want));
    EXPECT_EQ(test::values(tape, next), test::values(tape, want_next));
  }
}

TEST(SamplerStep, RefusesWhatDoesNotFit) {
  engine::Context context{CpuStream{}, DType::bf16};
  engine::Tape tape(context);
  const auto x = test::to_tensor(tape, {2, 3}, test::normal(6, 1));
  test::expect_check([&] { engine::sampler_step(context, kPlain, x, x, {}); }, "eps is [2,3] f32");
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
