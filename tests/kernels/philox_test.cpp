// SPDX-License-Identifier: MIT
// philox_test.cpp — the random numbers: Philox4x32-10 itself, the normals made from it, and that
// seed, stream, step, item and element each lead to different, unrelated draws.
#include "kernels/base/philox.h"

#include <bit>
#include <set>

#include "engine/process/process.h"
#include "engine/random.h"
#include "kernels/cpu/noise_tiles.h"
#include "tests/support/normals.h"
#include "tests/support/tape.h"

namespace haze {
namespace {

TEST(Philox, KnownAnswers) {
  // Philox4x32-10 vectors of the Random123 distribution (kat_vectors).
  struct Vector {
    Random4 counter;
    std::uint32_t key0, key1;
    Random4 want;
  };
  const std::uint32_t f = 0xffffffffu;
  const Vector vectors[] = {
      {{{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
      {{{f, f, f, f}}, f, f, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
      {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
       0xa4093822,
       0x299f31d0,
       {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
  };
  for (const auto& [counter, key0, key1, want] : vectors) {
    const Random4 got = philox4x32_10(counter, key0, key1);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(got.v[i], want.v[i]) << i;
  }
}

TEST(Philox, EveryPartOfTheKeyChangesEveryDraw) {
  const RandomKey base{1, 2, 3};
  std::set<std::uint32_t> seen;
  const auto add = [&](const RandomKey& key, std::uint32_t item, std::uint32_t block) {
    for (const std::uint32_t v : random4(key, item, block).v) seen.insert(v);
  };
  add(base, 4, 5);
  add({2, 2, 3}, 4, 5);
  add({1 + (std::uint64_t{1} << 32), 2, 3}, 4, 5);  // the seed's upper half counts
  add({1, 3, 3}, 4, 5);
  add({1, 2, 4}, 4, 5);
  add(base, 5, 5);
  add(base, 4, 6);
  EXPECT_EQ(seen.size(), 7u * 4);  // a repeat by chance has probability 1e-7
}

TEST(Philox, UniformIsInOpenClosedUnitInterval) {
  EXPECT_GT(uniform_f32(0), 0.0f);  // its logarithm is finite
  EXPECT_EQ(uniform_f32(0xffffffffu), 1.0f);
  EXPECT_EQ(below(0xffffffffu, 1000), 999u);
  EXPECT_EQ(below(0, 1000), 0u);
}

/// n normals of one key, one item after the other.
std::vector<double> draws(const RandomKey& key, int items, int elements, std::uint32_t first = 0,
                          Stream stream = CpuStream{}) {
  engine::Context context{stream};
  engine::Tape tape(context);
  return test::values(tape, engine::normal_noise(context, {items, elements}, key, first));
}

double moment(const std::vector<double>& z, int power) {
  double sum = 0;
  for (const double v : z) sum += std::pow(v, power);
  return sum / double(z.size());
}

double correlation(const std::vector<double>& a, const std::vector<double>& b,
                   std::size_t lag = 0) {
  double sum = 0;
  for (std::size_t i = 0; i + lag < a.size(); ++i) sum += a[i] * b[i + lag];
  return sum / double(a.size() - lag);
}

TEST(Normals, MomentsAndTails) {
  const std::size_t n = 1 << 20;
  const auto z = draws({7, engine::streams::kNoise, 0}, 16, 1 << 16);
  ASSERT_EQ(z.size(), n);
  // The mean of z^k has standard deviation sqrt(E z^2k - (E z^k)²) / sqrt(n); 4.5 of them.
  const double s = 4.5 / std::sqrt(double(n));
  EXPECT_NEAR(moment(z, 1), 0, s);
  EXPECT_NEAR(moment(z, 2), 1, s * std::sqrt(2.0));
  EXPECT_NEAR(moment(z, 3), 0, s * std::sqrt(15.0));
  EXPECT_NEAR(moment(z, 4), 3, s * std::sqrt(96.0));
  EXPECT_NEAR(moment(z, 6), 15, s * std::sqrt(10170.0));
  for (const double x : {0.5, 1.0, 2.0, 3.0, 4.0})
    for (const double sign : {-1.0, 1.0}) {
      const double p = std::erfc(x / std::sqrt(2.0)) / 2;
      const auto beyond = std::ranges::count_if(z, [&](double v) { return sign * v > x; });
      EXPECT_NEAR(double(beyond) / double(n), p, 4.5 * std::sqrt(p / double(n))) << sign * x;
    }
}

TEST(Normals, AreExact) {
  // Against Box-Muller in double on the same bits. log and sincos are good to about 2e-7, relative;
  // where u is near 1 the error of ln u is absolute instead (u itself has 24 bits): up to 2e-7 in
  // ln u, 4e-7 in radius², 4e-7/radius in the radius, and never more than sqrt(4e-7).
  const RandomKey key{3, 1, 4};
  for (std::uint32_t block = 0; block < 4096; ++block) {
    const Random4 r = random4(key, 9, block);
    float z[4];
    normal4(key, 9, block, z);
    for (int p = 0; p < 2; ++p) {
      const double u = (r.v[2 * p] + 0.5) * 0x1p-32, angle = (r.v[2 * p + 1] + 0.5) * 0x1p-32;
      const double radius = std::sqrt(-2 * std::log(u)), turn = 2 * M_PI * angle;
      const double tolerance = 1e-6 * radius + std::min(4e-7 / radius, 7e-4);
      ASSERT_NEAR(z[2 * p], radius * std::cos(turn), tolerance);
      ASSERT_NEAR(z[2 * p + 1], radius * std::sin(turn), tolerance);
    }
  }
}

TEST(Normals, AreUnrelatedAcrossStreamsStepsItemsAndElements) {
  const int items = 4, elements = 1 << 16;
  const auto z = draws({7, 1, 0}, items, elements);
  const double tolerance = 4.5 / std::sqrt(double(z.size()));  // of a mean of products
  EXPECT_NEAR(correlation(z, draws({8, 1, 0}, items, elements)), 0, tolerance) << "seed";
  EXPECT_NEAR(correlation(z, draws({7, 2, 0}, items, elements)), 0, tolerance) << "stream";
  EXPECT_NEAR(correlation(z, draws({7, 1, 1}, items, elements)), 0, tolerance) << "step";
  EXPECT_NEAR(correlation(z, z, elements), 0, tolerance * std::sqrt(4.0 / 3)) << "item";
  for (const std::size_t lag : {1, 2, 3, 4, 64, 256})
    EXPECT_NEAR(correlation(z, z, lag), 0, tolerance) << "lag " << lag;
}

TEST(Normals, ManyAtOnceAreThoseOfOneBlockAtATime) {
  for (const Stream stream : test::streams())
    for (const int elements : {1, 3, 64, 255, 256, 257, 784}) {
      const int items = 3;
      const std::uint32_t first = 11;
      const RandomKey key{5, 6, 7};
      const auto z = draws(key, items, elements, first, stream);
      const auto want = test::drawn_normals(key, first, items, elements);
      // Fused multiply-adds may differ between the two loops: 2 ulp.
      test::expect_close(z, want, 2.5e-7, 2.5e-7, cat(elements, " elements"));
    }
}

/// Steps between two finite f32 along the line of all of them.
std::int64_t ulps_between(double a, double b) {
  const auto place = [](double v) {
    const auto bits = std::bit_cast<std::int32_t>(float(v));
    return std::int64_t(bits < 0 ? std::int32_t{INT32_MIN} - bits : bits);
  };
  return std::abs(place(a) - place(b));
}

TEST(Normals, EveryBackendDrawsTheSame) {
  // Every rounding of a normal is that of one IEEE operation or of an fma that the text asks for. The
  // products that a compiler may fuse into a sum are by powers of two, so exact: fused or not, the
  // bits are the same, and they are compared by the contract's 2 ulp, which leaves room for a device
  // whose quotient (in ln u) and square root are off by one each.
  const RandomKey key{5, 6, 7};
  for (const int elements : {1, 7, 256, 1001}) {
    const auto want = draws(key, 3, elements, 11);
    for (const Stream stream : test::streams()) {
      const auto got = draws(key, 3, elements, 11, stream);
      ASSERT_EQ(got.size(), want.size());
      for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_LE(ulps_between(got[i], want[i]), 2) << i << ": " << got[i] << ", " << want[i];
    }
  }
}

TEST(Normals, TheStepMayLieInDeviceMemory) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto step = test::to_tensor_i32(tape, {7});
    const RandomKey key{5, 6, {8, reinterpret_cast<const std::uint32_t*>(step.i32())}};
    EXPECT_EQ(test::values(tape, engine::normal_noise(context, {2, 37}, key, 3)),
              draws({5, 6, 7}, 2, 37, 3, stream));
  }
}

TEST(Normals, DoNotDependOnHowABatchIsSplit) {
  const RandomKey key{5, 6, 7};
  for (const Stream s : test::streams())
    EXPECT_EQ(draws(key, 7, 301, 0, s),
              test::join(draws(key, 3, 301, 0, s), draws(key, 4, 301, 3, s)));
}

}  // namespace
}  // namespace haze
