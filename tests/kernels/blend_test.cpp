// SPDX-License-Identifier: MIT
// blend_test.cpp — the known part of an image equals the formula in double, the unknown part keeps
// its bits, and at the end of a chain the known part is exactly what is known.
#include "engine/process/process.h"
#include "engine/random.h"
#include "kernels/blend/reference.h"
#include "tests/support/normals.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::BlendStep;
using engine::Noise;
using engine::Tensor;

struct Images {
  int n, h, w, c;
  engine::Shape shape() const { return {n, h, w, c}; }
  std::vector<std::uint8_t> mask(bool per_item) const {
    std::vector<std::uint8_t> m;
    for (int i = 0; i < (per_item ? n : 1) * h * w; ++i)
      m.push_back(std::uint8_t(i % 7 < 3 || i % 64 > 40 ? 1 + i % 255 : 0));
    return m;
  }
  Tensor mask_on(engine::Context& context, bool per_item) const {
    const auto m = mask(per_item);
    const engine::Shape all{n, h, w}, one{h, w};
    return engine::upload(context, per_item ? all : one, m);
  }
};

TEST(Blend, EqualsTheFormulaAndLeavesTheRestAlone) {
  for (const Stream stream : test::streams())
    for (const Images& k : {Images{3, 1, 1, 2}, {2, 5, 7, 3}, {2, 16, 16, 1}, {3, 9, 11, 4}})
      for (const bool per_item : {false, true})
        for (const BlendStep& c : {BlendStep{0.6f, 0.8f}, {1, 0}}) {
          engine::Context context{stream};
          engine::Tape tape(context);
          const std::size_t size = k.shape().size();
          const int images = per_item ? k.n : 1;  // of x0, too
          const auto x = test::normal(size, 1);
          const auto x0 = test::normal(size / std::size_t(k.n) * std::size_t(images), 2);
          const Noise drawn{{}, {9, engine::streams::kKnown, 4}, 100};
          const auto z = test::drawn_normals(drawn.key, 100, k.n, k.h * k.w * k.c);
          const Noise given{test::to_tensor(tape, k.shape(), z), {}, 0};
          const auto mask = k.mask(per_item);
          auto want = x;
          kernels::reference::blend({k.n, k.h * k.w, k.c, per_item, per_item}, c, mask.data(),
                                    x0.data(), z.data(), want.data());
          for (const Noise& noise : {drawn, given}) {
            const Tensor now = test::to_tensor(tape, k.shape(), x);
            engine::blend(context, {c}, now, k.mask_on(context, per_item),
                          test::to_tensor(tape, {images, k.h, k.w, k.c}, x0), noise);
            const auto got = test::values(tape, now);
            // Two products and a sum of numbers below 6.
            test::expect_close(got, want, 0, c.noise == 0 ? 1e-300 : 3 * 6 * 0x1p-24,
                               cat(k.shape().str(), per_item ? " per item" : ""));
            for (std::size_t i = 0; i < size; ++i) {
              const std::size_t pixel = i / std::size_t(k.c);
              const bool known = mask[per_item ? pixel : pixel % mask.size()] != 0;
              if (!known) {
                EXPECT_EQ(got[i], x[i]) << i;
              } else if (c.noise == 0) {
                EXPECT_EQ(got[i], x0[i % x0.size()]) << i;
              }
            }
          }
        }
}

TEST(Blend, UnknownPixelsMayHoldAnythingAndNanOfKnownOnesShows) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const std::vector<std::uint8_t> mask{1, 0, 1};
    const Tensor x = test::to_tensor(tape, {1, 1, 3, 1}, {INFINITY, 4, NAN});
    engine::blend(context, kernels::BlendStep{1, 0}, x, upload(context, {1, 3}, std::span(mask)),
                  test::to_tensor(tape, {1, 1, 3, 1}, {2, NAN, NAN}), {});
    const auto got = test::values(tape, x);
    EXPECT_EQ(got[0], 2);
    EXPECT_EQ(got[1], 4);
    EXPECT_TRUE(std::isnan(got[2]));
  }
}

TEST(Blend, CoefficientsAndStepMayLieInDeviceMemory) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const Images k{2, 5, 7, 3};
    const auto x = test::normal(210, 1);
    const Tensor now = test::to_tensor(tape, k.shape(), x),
                 want = test::to_tensor(tape, k.shape(), x);
    const Tensor x0 = test::to_tensor(tape, k.shape(), test::normal(210, 2));
    const Tensor mask = k.mask_on(context, true);
    const BlendStep step{0.6f, 0.8f};
    engine::blend(context, {step}, want, mask, x0, {{}, {3, 4, 5}, 20});
    const auto number = test::to_tensor_i32(tape, {5});
    engine::DeviceValue<BlendStep> c(context);
    c.set(context, step);
    const RandomKey key{3, 4, {99, reinterpret_cast<const std::uint32_t*>(number.i32())}};
    engine::blend(context, late_at(c.on_device()), now, mask, x0, {{}, key, 20});
    EXPECT_EQ(test::values(tape, now), test::values(tape, want));
    EXPECT_NE(test::values(tape, now), x);
  }
}

TEST(Blend, RefusesWhatDoesNotFit) {
  engine::Context context{CpuStream{}};
  engine::Tape tape(context);
  const Images k{2, 5, 7, 3};
  const Tensor x = test::to_tensor(tape, k.shape(), test::normal(210, 1));
  const Tensor wrong = test::to_tensor(tape, {2, 7, 5, 3}, test::normal(210, 1));
  test::expect_check([&] { engine::blend(context, {}, x, k.mask_on(context, true), wrong, {}); },
                     "x is [2,5,7,3], x0 is [2,7,5,3]");
  test::expect_check([&] { engine::blend(context, {}, x, x, x, {}); }, "the mask is [2,5,7,3] f32");
  test::expect_check(
      [&] {
        engine::blend(context, {}, x, k.mask_on(context, true), x,
                      {test::to_tensor(tape, {2, 105}, test::normal(210, 1)), {}, 0});
      },
      "noise is [2,105]");
}

}  // namespace
}  // namespace haze
