// SPDX-License-Identifier: MIT
// dtype_test.cpp — bf16: rounding to nearest even, and what is not a normal number.
#include "kernels/base/dtype.h"

#include "tests/support/test.h"

namespace haze {
namespace {

std::uint16_t bits_of(float f) { return bf16(f).bits; }
float from_bits(std::uint32_t u) { return std::bit_cast<float>(u); }

/// Rounding to 8 significant bits by arithmetic: |f| in units of its last bf16 place, to the
/// nearest integer, ties to even. Below the normal range that unit is 2^-133.
double rounded(double f) {
  if (f == 0) return f;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(f), -126) - 7);
  const double r = std::nearbyint(f / unit) * unit;
  return std::abs(r) >= 0x1p128 ? std::copysign(INFINITY, f) : r;
}

TEST(Bf16, WideningIsExact) {
  for (std::uint32_t u = 0; u < 0x10000u; ++u) {
    bf16 b;
    b.bits = std::uint16_t(u);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(float(b)), u << 16);
    if (!std::isnan(float(b))) {
      EXPECT_EQ(bits_of(float(b)), u);
    }
  }
}

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(float(bf16(1.0f + 0x1p-8f)), 1.0f);                 // a tie: down to even
  EXPECT_EQ(float(bf16(1.0f + 0x3p-8f)), 1.0f + 0x1p-6f);       // a tie: up to even
  EXPECT_EQ(float(bf16(1.0f + 0x1.0002p-8f)), 1.0f + 0x1p-7f);  // just above a tie
  EXPECT_EQ(float(bf16(1.0f + 0x1.fffcp-9f)), 1.0f);            // just below
  EXPECT_EQ(float(bf16(-1.0f - 0x3p-8f)), -1.0f - 0x1p-6f);
  for (std::uint64_t u = 0; u < 0x100000000u; u += 1009) {
    const float f = from_bits(std::uint32_t(u));
    if (std::isfinite(f)) {
      ASSERT_EQ(double(float(bf16(f))), rounded(f)) << f;
    }
  }
}

TEST(Bf16, TiesAreExactlyHalfWay) {
  for (std::uint32_t high = 0; high < 0x7f80u; ++high)
    for (const std::uint32_t low : {0x7fffu, 0x8000u, 0x8001u}) {
      const std::uint32_t up = low > 0x8000u || (low == 0x8000u && (high & 1u));
      ASSERT_EQ(bits_of(from_bits(high << 16 | low)), high + up) << high << " " << low;
    }
}

TEST(Bf16, OverflowsToInfinity) {
  EXPECT_EQ(float(bf16(from_bits(0x7f7f7fffu))), from_bits(0x7f7f0000u));  // down to the largest
  EXPECT_EQ(float(bf16(from_bits(0x7f7f8000u))), INFINITY);  // half way: to even, which is infinity
  EXPECT_EQ(float(bf16(-from_bits(0x7f7fffffu))), -INFINITY);
  EXPECT_EQ(float(bf16(INFINITY)), INFINITY);
  EXPECT_EQ(float(bf16(-INFINITY)), -INFINITY);
}

TEST(Bf16, NanStaysNan) {
  // The lowest and highest payloads, quiet and signalling: a payload in the lower half must not
  // vanish (infinity) and one of all ones must not carry (zero).
  for (const std::uint32_t u :
       {0x7f800001u, 0x7fbfffffu, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffffffffu}) {
    EXPECT_TRUE(std::isnan(float(bf16(from_bits(u))))) << std::hex << u;
    EXPECT_EQ(bits_of(from_bits(u)) >> 15, u >> 31);
  }
}

TEST(Bf16, KeepsDenormalsAndSignedZero) {
  EXPECT_EQ(bits_of(0.0f), 0x0000u);
  EXPECT_EQ(bits_of(-0.0f), 0x8000u);
  EXPECT_EQ(float(bf16(0x1p-133f)), 0x1p-133f);  // the smallest
  EXPECT_EQ(float(bf16(0x1p-134f)), 0.0f);       // a tie: down to even
  EXPECT_EQ(float(bf16(0x1.8p-134f)), 0x1p-133f);
  EXPECT_EQ(float(bf16(0x1.fffffep-127f)), 0x1p-126f);  // a denormal float rounds up to a normal
}

TEST(Bf16, AssignmentInALoopRoundsTheSame) {
  // The vectorised form: every rounding case, NaN among them.
  std::vector<float> f;
  for (std::uint64_t u = 0; u < 0x100000000u; u += 65521) f.push_back(from_bits(std::uint32_t(u)));
  f.push_back(from_bits(0x7f800001u));
  f.push_back(from_bits(0xffffffffu));
  std::vector<bf16> b(f.size());
#pragma omp simd
  for (std::size_t i = 0; i < f.size(); ++i) b[i] = f[i];
  for (std::size_t i = 0; i < f.size(); ++i) ASSERT_EQ(b[i].bits, bf16(f[i]).bits) << f[i];
}

}  // namespace
}  // namespace haze
