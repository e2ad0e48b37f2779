// SPDX-License-Identifier: MIT
// math.h — the few transcendental functions that kernels need, as branch-free arithmetic: the
// compiler vectorises them on the CPU, and every backend computes the same bits from the same text.
// Accuracy against double, over the stated range, is asserted by tests/kernels/math_test.cpp.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/base/host_device.h"

namespace haze {

/// e^x to 1 ulp for x in [-87, 88]. Below it the value at -87, above it at most infinity; NaN stays
/// NaN, and +infinity gives NaN. Cody-Waite reduction by ln 2 and the degree-6 polynomial 1 + r + …
/// of least relative error on [-ln2/2, ln2/2].
HAZE_HD inline float exp_f32(float x) {
  x = x < -87.0f ? -87.0f : x;
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  const float shifted = std::fma(x, 1.44269504f, magic);
  const float n = shifted - magic;
  float r = std::fma(n, -0.693145752f, x);
  r = std::fma(n, -1.42860677e-6f, r);
  float p = 0.00138217444f;
  p = std::fma(p, r, 0.00836867653f);
  p = std::fma(p, r, 0.0416682549f);
  p = std::fma(p, r, 0.166665211f);
  p = std::fma(p, r, 0.49999994f);
  p = std::fma(p, r, 1.0f);
  p = std::fma(p, r, 1.0f);
  // 2^n, infinite from n = 128. The limit is set on integers: two limits on x itself become
  // branches that GCC turns into a chain of masks.
  const std::int32_t top = 0x4b400000 + 128, bits = std::bit_cast<std::int32_t>(shifted);
  const std::uint32_t scale = (std::uint32_t(bits < top ? bits : top) << 23) + 0x3f800000u;
  return p * std::bit_cast<float>(scale);
}

/// 1 / (1 + e^-x) to 3 ulp for x in [-87, 88], 0 below; NaN stays NaN, and -infinity gives NaN.
HAZE_HD inline float sigmoid_f32(float x) { return 1.0f / (1.0f + exp_f32(-x)); }

/// ln x for x in [2^-33, 1], to 2 ulp. Mantissa to [√½, √2), then the series of 2·artanh(s),
/// s = (m-1)/(m+1).
HAZE_HD inline float log_unit_f32(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t e_biased = (u - 0x3f3504f3u) & 0xff800000u;  // exponent with m in [√½, √2)
  const float m = std::bit_cast<float>(u - e_biased);
  const float e = float(std::int32_t(e_biased) >> 23);
  const float s = (m - 1.0f) / (m + 1.0f), z = s * s;
  float p = 2.0f / 11;
  p = std::fma(p, z, 2.0f / 9);
  p = std::fma(p, z, 2.0f / 7);
  p = std::fma(p, z, 2.0f / 5);
  p = std::fma(p, z, 2.0f / 3);
  p = std::fma(p * z, s, 2.0f * s);
  return std::fma(e, 0.693147181f, p);
}

/// sin and cos of 2πv for v in [0, 1], absolute error below 1e-7.
HAZE_HD inline void sincos_turn_f32(float v, float* sine, float* cosine) {
  const float magic = 12582912.0f;
  const float shifted = std::fma(v, 4.0f, magic);  // nearest quarter turn
  const auto quarter = std::bit_cast<std::uint32_t>(shifted);
  const float x = (v - (shifted - magic) * 0.25f) * 6.28318531f, z = x * x;  // |x| <= π/4
  float s = 1.0f / 362880;
  s = std::fma(s, z, -1.0f / 5040);
  s = std::fma(s, z, 1.0f / 120);
  s = std::fma(s, z, -1.0f / 6);
  s = std::fma(s * z, x, x);
  float c = 1.0f / 40320;
  c = std::fma(c, z, -1.0f / 720);
  c = std::fma(c, z, 1.0f / 24);
  c = std::fma(c, z, -0.5f);
  c = std::fma(c, z, 1.0f);
  const float a = (quarter & 1u) ? c : s, b = (quarter & 1u) ? s : c;
  *sine = (quarter & 2u) ? -a : a;
  *cosine = ((quarter + 1u) & 2u) ? -b : b;
}

}  // namespace haze
