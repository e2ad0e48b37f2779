// SPDX-License-Identifier: MIT
// math_test.cpp — the functions of kernels/base/math.h hold the accuracy that they state, against
// double, over a dense sweep of their ranges.
#include "kernels/base/math.h"

#include "tests/support/test.h"

namespace haze {
namespace {

/// Calls f(x) for numbers of [lo, hi]: one float in `stride`, so that every exponent is met, and a
/// million equal steps. Both ends are among them.
template <class F>
void sweep(float lo, float hi, F f) {
  f(lo), f(hi);
  const std::uint32_t stride = 1009;
  for (const float end : {lo, hi}) {  // from zero to each end
    const auto last = std::bit_cast<std::uint32_t>(end);
    for (std::uint32_t u = last & 0x80000000u; u <= last; u += stride)
      if (const float x = std::bit_cast<float>(u); x >= lo && x <= hi) f(x);
  }
  for (int i = 0; i <= 1000000; ++i) f(float(lo + (double(hi) - lo) * i * 1e-6));
}

/// Distance in units of the last place of `want` as a float.
double ulps(float got, double want) {
  return std::abs(double(got) - want) / std::ldexp(1.0, std::ilogb(want) - 23);
}

/// The largest of what it has seen; a NaN is the largest.
struct Worst {
  double value = 0;
  float at = 0;
  void see(double v, float x) {
    if (!(v <= value)) value = std::isnan(v) ? INFINITY : v, at = x;
  }
};

TEST(Math, ExpIsWithinOneUlp) {
  Worst worst;
  sweep(-87, 88, [&](float x) { worst.see(ulps(exp_f32(x), std::exp(double(x))), x); });
  EXPECT_LE(worst.value, 1) << "at " << worst.at;
}

TEST(Math, ExpBeyondItsRangeAndOfNan) {
  for (const float x : {-87.5f, -1e3f, -1e13f, -3e38f, -INFINITY})
    EXPECT_EQ(exp_f32(x), exp_f32(-87)) << x;
  for (float x = 88.8f; x < 3e38f; x *= 1.003f) ASSERT_EQ(exp_f32(x), INFINITY) << x;
  EXPECT_EQ(exp_f32(0), 1);
  // Through volatile memory and in a loop, so that neither form is computed by the compiler.
  volatile float nan = NAN;
  std::vector<float> many(37, float(nan));
#pragma omp simd
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = exp_f32(many[i]);
  for (const float e : many) EXPECT_TRUE(std::isnan(e));
  EXPECT_TRUE(std::isnan(exp_f32(nan)));
  EXPECT_TRUE(std::isnan(sigmoid_f32(nan)));
}

TEST(Math, SigmoidIsWithinThreeUlp) {
  Worst worst;
  sweep(-87, 88,
        [&](float x) { worst.see(ulps(sigmoid_f32(x), 1 / (1 + std::exp(-double(x)))), x); });
  EXPECT_LE(worst.value, 3) << "at " << worst.at;
  for (const float x : {1e3f, 1e13f, 3e38f}) {
    EXPECT_EQ(sigmoid_f32(-x), 0) << x;
    EXPECT_EQ(sigmoid_f32(x), 1) << x;
  }
}

TEST(Math, LogIsWithinTwoUlp) {
  Worst worst;
  sweep(0x1p-33f, 1, [&](float x) {
    if (x < 1) worst.see(ulps(log_unit_f32(x), std::log(double(x))), x);
  });
  EXPECT_LE(worst.value, 2) << "at " << worst.at;
  EXPECT_EQ(log_unit_f32(1), 0);
  EXPECT_LT(log_unit_f32(std::nextafter(1.0f, 0.0f)), 0);
}

TEST(Math, SineAndCosineAreWithinOneTenMillionth) {
  Worst worst;
  sweep(0, 1, [&](float v) {
    float s, c;
    sincos_turn_f32(v, &s, &c);
    const double angle = 2 * std::acos(-1.0) * double(v);
    worst.see(std::abs(s - std::sin(angle)), v);
    worst.see(std::abs(c - std::cos(angle)), v);
  });
  EXPECT_LE(worst.value, 1e-7) << "at " << worst.at;
}

}  // namespace
}  // namespace haze
