// SPDX-License-Identifier: MIT
// q_sample_test.cpp — the forward diffusion equals the formula in double from the same normals,
// from values and from stored bytes, in f32 and bf16, however the batch is split.
#include "engine/process/process.h"
#include "engine/random.h"
#include "kernels/q_sample/reference.h"
#include "tests/support/normals.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::ImageNoising;
using engine::Noise;
using engine::NoiseTables;
using engine::Tensor;
namespace ref = kernels::reference;
constexpr int kSteps = 1000;

struct Tables {
  std::vector<float> a, b;
  Tables() {
    for (int t = 0; t < kSteps; ++t) {
      const double bar = std::pow(std::cos((t + 1.0) / (kSteps + 1) * M_PI / 2), 2);
      a.push_back(float(std::sqrt(bar)));
      b.push_back(float(std::sqrt(1 - bar)));
    }
  }
  NoiseTables on(engine::Context& c) const {
    return {upload(c, {kSteps}, std::span(a)), upload(c, {kSteps}, std::span(b))};
  }
  kernels::NoiseSchedule host() const { return {a.data(), b.data(), kSteps}; }
};

/// Four roundings of terms below |x0| + |z| < 6, then one rounding to the type.
constexpr double kAbsolute = 6 * 0x1p-24 * 4;
double relative(DType type) { return 2 * test::rounding(type); }

TEST(QSample, EqualsTheFormulaWithNoiseDrawnOrGiven) {
  const Tables tables;
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const int elements : {1, 49, 256, 3 * 17 * 19}) {
        const int n = 5;
        engine::Context context(stream, type);
        engine::Tape tape(context);
        const auto x0 = test::normal(std::size_t(n) * elements, 1);
        const std::vector<int> t{0, 999, 500, 1, 77};
        const Noise drawn{{}, {9, engine::streams::kNoise, 4}, 100};
        const auto eps = test::drawn_normals(drawn.key, 100, n, elements);
        std::vector<double> want(x0.size());
        ref::q_sample({n, elements}, x0.data(), t.data(), tables.host(), eps.data(), want.data());
        const auto in = test::to_tensor(tape, {n, elements}, x0);
        const auto time = test::to_tensor_i32(tape, t);
        const Noise given{test::to_tensor(tape, {n, elements}, eps), {}, 0};
        for (const Noise& noise : {drawn, given}) {
          const Tensor x_t = engine::q_sample(context, in, time, tables.on(context), noise);
          EXPECT_EQ(x_t.dtype, type);
          test::expect_close(test::values(tape, x_t), want, relative(type), kAbsolute,
                             cat(elements, " elements, ", name_of(type)));
        }
      }
}

struct Batch {
  int h = 5, w = 7, c = 3, images = 6;
  std::vector<std::uint8_t> bytes;
  std::vector<std::int32_t> index{5, 0, 3, 3, 1, 4, 2, 0, 5};
  Batch(int h_, int w_, int c_) : h(h_), w(w_), c(c_) {
    for (int i = 0; i < images * h * w * c; ++i) bytes.push_back(std::uint8_t(i * 37 + i / 11));
    bytes[0] = 0, bytes[1 % bytes.size()] = 255;
  }
  int elements() const { return h * w * c; }
  kernels::ImageDims dims() const { return {int(index.size()), h, w, c, images}; }
};

engine::NoisedImages noised(engine::Context& context, const Batch& b, const Tables& tables,
                            const ImageNoising& o, std::size_t first, std::size_t count) {
  const auto part = std::span(b.index).subspan(first, count);
  return engine::q_sample_images(context,
                                 upload(context, {b.images, b.h, b.w, b.c}, std::span(b.bytes)),
                                 upload(context, {int(count)}, part), tables.on(context), o);
}

std::vector<std::int32_t> ints(const engine::Tape& tape, const Tensor& t) {
  std::vector<std::int32_t> v(t.size());
  engine::download(tape.context(), t, std::as_writable_bytes(std::span(v)));
  return v;
}

TEST(QSampleImages, EqualsTheFormulaOnScaledMirroredImages) {
  const Tables tables;
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const Batch& b : {Batch(5, 7, 3), Batch(28, 28, 1), Batch(1, 1, 3), Batch(16, 16, 3)})
        for (const bool zero_to_one : {false, true})
          for (const bool flip : {false, true}) {
            engine::Context context(stream, type);
            engine::Tape tape(context);
            const ImageNoising o{77, {3}, 1000, zero_to_one, flip};
            const auto got = noised(context, b, tables, o, 0, b.index.size());
            bool flips[9];
            std::vector<std::int32_t> t;
            for (std::uint32_t n = 0; n < 9; ++n) {
              const auto draw = [&](std::uint32_t s) {
                return random4({77, s, 3}, 1000 + n, 0).v[0];
              };
              t.push_back(int(below(draw(engine::streams::kTimestep), kSteps)));
              flips[n] = flip && draw(engine::streams::kFlip) >= 0x80000000u;
            }
            const auto d = b.dims();
            std::vector<double> x0(std::size_t(d.n) * d.elements()), want(x0.size());
            ref::scale_images(d, b.bytes.data(), b.index.data(), flips, zero_to_one, x0.data());
            const auto eps =
                test::drawn_normals({77, engine::streams::kNoise, 3}, 1000, d.n, d.elements());
            ref::q_sample({d.n, d.elements()}, x0.data(), t.data(), tables.host(), eps.data(),
                          want.data());
            EXPECT_EQ(ints(tape, got.t), t);
            test::expect_close(test::values(tape, got.x_t), want, relative(type), kAbsolute,
                               cat(b.h, 'x', b.w, 'x', b.c, ' ', name_of(type)));
            // The same eps again, as the loss will draw it: x_t from the scaled values.
            const auto again =
                engine::q_sample(context, test::to_tensor(tape, got.x_t.shape, x0), got.t,
                                 tables.on(context), engine::training_noise(o));
            test::expect_close(test::values(tape, again), want, relative(type), kAbsolute,
                               "training_noise");
          }
}

TEST(QSampleImages, X0IsTheScaledMirroredImage) {
  const Tables tables;
  for (const Stream stream : test::streams())
    for (const Batch& b : {Batch(5, 7, 3), Batch(1, 1, 2), Batch(16, 20, 1)})
      for (const bool zero_to_one : {false, true}) {
        engine::Context context(stream, DType::bf16);
        engine::Tape tape(context);
        ImageNoising o{77, {3}, 1000, zero_to_one, true};
        const auto without = noised(context, b, tables, o, 0, 9);
        EXPECT_FALSE(without.x0);
        o.wants_x0 = true;
        const auto got = noised(context, b, tables, o, 0, 9);
        bool flips[9];
        for (std::uint32_t n = 0; n < 9; ++n)
          flips[n] = random4({77, engine::streams::kFlip, 3}, 1000 + n, 0).v[0] >= 0x80000000u;
        const auto d = b.dims();
        std::vector<double> x0(std::size_t(d.n) * d.elements());
        ref::scale_images(d, b.bytes.data(), b.index.data(), flips, zero_to_one, x0.data());
        // One rounding of a quotient of at most 1, and of the reference's own f32 comparison none.
        test::expect_close(test::values(tape, got.x0), x0, 0, 0x1p-24, cat(b.h, 'x', b.w));
        EXPECT_EQ(test::values(tape, got.x_t), test::values(tape, without.x_t));
      }
}

TEST(QSampleImages, StoredNumbersAreTakenAsTheyAre) {
  const Tables tables;
  for (const Stream stream : test::streams())
    for (const Batch& b : {Batch(5, 7, 3), Batch(1, 1, 2), Batch(8, 8, 4)}) {
      engine::Context context{stream};
      engine::Tape tape(context);
      const auto d = b.dims();
      const auto stored = test::normal(std::size_t(b.images) * d.elements(), 4, 0, 3);
      const auto data = test::to_tensor(tape, {b.images, b.h, b.w, b.c}, stored);
      ImageNoising o{77, {3}, 1000, true, true};  // a scale that must not be applied
      o.wants_x0 = true;
      const auto got = engine::q_sample_images(
          context, data, upload(context, {9}, std::span(b.index)), tables.on(context), o);
      std::vector<double> x0(std::size_t(d.n) * d.elements());
      for (int n = 0; n < d.n; ++n) {
        const bool flip =
            random4({77, engine::streams::kFlip, 3}, 1000 + unsigned(n), 0).v[0] >= 0x80000000u;
        for (int i = 0; i < d.elements(); ++i) {
          const int x = i / b.c % b.w, from = flip ? b.w - 1 - x : x;
          x0[std::size_t(n * d.elements() + i)] =
              stored[std::size_t(b.index[std::size_t(n)] * d.elements() + i + (from - x) * b.c)];
        }
      }
      EXPECT_EQ(test::values(tape, got.x0), x0);
      const auto again =
          engine::q_sample(context, got.x0, got.t, tables.on(context), engine::training_noise(o));
      // Both make one expression of the same numbers: an fma more or less, of numbers below 16.
      test::expect_close(test::values(tape, got.x_t), test::values(tape, again), 0, 16 * 0x1p-23,
                         "x_t");
    }
}

TEST(QSampleImages, AntitheticTimesComeInPairsOfTheGlobalBatch) {
  for (const Stream stream : test::streams()) {
    Batch b(1, 1, 1);
    b.index.assign(2000, 0);
    engine::Context context{stream};
    engine::Tape tape(context);
    ImageNoising o{1, {2}, 0};
    o.times = engine::TimeDraw::antithetic;
    const auto all = ints(tape, noised(context, b, Tables(), o, 0, 2000).t);
    int below = 0;
    for (std::size_t k = 0; k < 2000; k += 2) {
      EXPECT_EQ(all[k] + all[k + 1], kSteps - 1) << k;
      below += all[k] < kSteps / 2;
    }
    EXPECT_NEAR(below, 500, 4.5 * std::sqrt(250));  // binomial: the first of a pair is uniform
    o.first_item = 3;                               // begins with the second of a pair
    const auto part = ints(tape, noised(context, b, Tables(), o, 3, 5).t);
    EXPECT_EQ(part, std::vector<std::int32_t>(all.begin() + 3, all.begin() + 8));
  }
}

TEST(QSampleImages, TimesMayBeGiven) {
  const Tables tables;
  const Batch b(5, 7, 3);
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    ImageNoising o{77, {3}, 10, false, true};
    const auto drawn = noised(context, b, tables, o, 0, 9);
    o.times = engine::TimeDraw::given;
    o.t = drawn.t;
    const auto same = noised(context, b, tables, o, 0, 9);
    EXPECT_EQ(test::values(tape, same.x_t), test::values(tape, drawn.x_t));
    EXPECT_EQ(same.t.raw(), drawn.t.raw());
    o.t = test::to_tensor_i32(tape, {0, 1, 2, 3, 4, 5, 6, 999, 1000});
    if (std::holds_alternative<CpuStream>(stream)) {
      test::expect_check([&] { noised(context, b, tables, o, 0, 9); },
                         "t[8] is 1000, must be in [0,1000)");
    } else {
      const auto x_t = test::values(tape, noised(context, b, tables, o, 0, 9).x_t);
      for (std::size_t i = 0; i < x_t.size(); ++i) EXPECT_EQ(std::isnan(x_t[i]), i >= 8 * 105) << i;
      EXPECT_EQ(ints(tape, o.t).back(), 1000);
    }
    o.t = test::to_tensor_i32(tape, {0, 1});
    test::expect_check([&] { noised(context, b, tables, o, 0, 9); }, "index is [9], t is [2]");
  }
}

TEST(QSampleImages, DoesNotDependOnHowABatchIsSplit) {
  for (const Stream stream : test::streams()) {
    const Tables tables;
    const Batch b(5, 7, 3);
    engine::Context context{stream};
    engine::Tape tape(context);
    ImageNoising o{77, {3}, 10, false, true};
    const auto whole = noised(context, b, tables, o, 0, 9);
    const auto head = noised(context, b, tables, o, 0, 4);
    o.first_item += 4;
    const auto tail = noised(context, b, tables, o, 4, 5);
    EXPECT_EQ(test::values(tape, whole.x_t),
              test::join(test::values(tape, head.x_t), test::values(tape, tail.x_t)));
    auto t = ints(tape, head.t);
    const auto rest = ints(tape, tail.t);
    t.insert(t.end(), rest.begin(), rest.end());
    EXPECT_EQ(ints(tape, whole.t), t);
  }
}

TEST(QSampleImages, TimesAndFlipsAreEvenlySpread) {
  for (const Stream stream : test::streams()) {
    Batch b(1, 1, 1);
    b.index.assign(20000, 0);
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto got = noised(context, b, Tables(), {1, 2, 0, false, false}, 0, b.index.size());
    std::vector<int> tenths(10);
    for (const int t : ints(tape, got.t)) {
      ASSERT_TRUE(t >= 0 && t < kSteps) << t;
      ++tenths[std::size_t(t / 100)];
    }
    for (const int n : tenths) EXPECT_NEAR(n, 2000, 4.5 * std::sqrt(2000 * 0.9));  // binomial
  }
}

TEST(QSampleImages, TheStepMayLieInDeviceMemory) {
  const Tables tables;
  const Batch b(5, 7, 3);
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto want = noised(context, b, tables, {77, {3}, 10, false, true}, 0, 9);
    const auto step = test::to_tensor_i32(tape, {3});
    const auto key = [&](std::uint32_t s) {
      return RandomKey{77, s, {99, reinterpret_cast<const std::uint32_t*>(step.i32())}};
    };
    const kernels::ImageDraws draws{key(engine::streams::kTimestep), key(engine::streams::kNoise),
                                    key(engine::streams::kFlip), 10, true};
    const auto on = tables.on(context);
    const auto bytes = upload(context, {b.images, b.h, b.w, b.c}, std::span(b.bytes));
    const auto index = upload(context, {9}, std::span(b.index));
    const Tensor t = tape.empty({9}, DType::i32), x_t = tape.empty(want.x_t.shape, DType::f32);
    tape.run([&](auto s) {
      kernels::q_sample_images(s, b.dims(), static_cast<const std::uint8_t*>(bytes.raw()),
                               index.i32(),
                               {on.sqrt_alpha_bar.f32(), on.sqrt_one_minus_alpha_bar.f32(), kSteps},
                               draws, t.i32(), x_t.act());
    });
    EXPECT_EQ(ints(tape, t), ints(tape, want.t));
    EXPECT_EQ(test::values(tape, x_t), test::values(tape, want.x_t));
  }
}

TEST(QSample, ATimeOrAnImageOutsideIsNanOnADevice) {
  const Tables tables;
  for (const Stream stream : test::streams()) {
    if (std::holds_alternative<CpuStream>(stream)) continue;  // refuses them
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto x0 = test::to_tensor(tape, {3, 5}, test::normal(15, 1));
    const auto t = test::to_tensor_i32(tape, {999, 1000, -1});
    const auto x_t =
        test::values(tape, engine::q_sample(context, x0, t, tables.on(context), Noise{}));
    for (std::size_t i = 0; i < 15; ++i) EXPECT_EQ(std::isnan(x_t[i]), i >= 5) << i;
    Batch b(1, 1, 3);
    b.index = {5, 6, -1};
    ImageNoising o;
    o.wants_x0 = true;
    const auto out = noised(context, b, tables, o, 0, 3);
    for (const Tensor& t : {out.x_t, out.x0}) {
      const auto got = test::values(tape, t);
      for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(std::isnan(got[i]), i >= 3) << i;
    }
  }
}

TEST(QSample, RefusesWhatDoesNotFit) {
  const Tables tables;
  engine::Context context{CpuStream{}};
  engine::Tape tape(context);
  const auto x0 = test::to_tensor(tape, {2, 3}, test::normal(6, 1));
  const auto run = [&](const std::vector<int>& t, const Noise& noise = {}) {
    engine::q_sample(context, x0, test::to_tensor_i32(tape, t), tables.on(context), noise);
  };
  test::expect_check([&] { run({0, 1000}); }, "t[1] is 1000, must be in [0,1000)");
  test::expect_check([&] { run({-1, 0}); }, "t[0] is -1");
  test::expect_check([&] { run({1}); }, "x0 is [2,3], t is [1]");
  test::expect_check(
      [&] {
        run({1, 2}, {test::to_tensor(tape, {3, 2}, test::normal(6, 1)), {}, 0});
      },
      "noise is [3,2]");
  Batch b(5, 7, 3);
  b.index[4] = 6;
  test::expect_check([&] { noised(context, b, tables, {}, 0, 9); }, "index[4] is 6");
}

}  // namespace
}  // namespace haze
