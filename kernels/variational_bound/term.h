// SPDX-License-Identifier: MIT
// term.h — one value's part of the bound, for both backends. The two places where f32 would lose
// digits: e^-g - 1 + g of nearly equal variances, by its series, and the difference of two
// distribution functions at t = 0, which is taken in double and in the tail where both are small.
#pragma once
#include "kernels/variational_bound/variational_bound.h"

namespace haze::kernels {

struct BoundTerm {
  float value, by_log_variance;  // L_t of one value, and its derivative by ln s_p²
};

/// e^-g - 1 + g, to 4 ulp: from 1/2 on as it stands, below by ½g²(1 - g/3 + g²/12 - ...), whose
/// tenth term is 1e-8 of the first.
HAZE_HD inline float exp_remainder(float g) {
  if (!(g > -0.5f && g < 0.5f)) return exp_f32(-g) - 1.0f + g;
  float p = 1.0f / 1814400;  // 2/10!
  p = std::fma(p, -g, 1.0f / 181440);
  p = std::fma(p, -g, 1.0f / 20160);
  p = std::fma(p, -g, 1.0f / 2520);
  p = std::fma(p, -g, 1.0f / 360);
  p = std::fma(p, -g, 1.0f / 60);
  p = std::fma(p, -g, 1.0f / 12);
  p = std::fma(p, -g, 1.0f / 3);
  p = std::fma(p, -g, 1.0f);
  return 0.5f * g * g * p;
}

/// KL of two Gaussians, t > 0.
HAZE_HD inline BoundTerm divergence(const BoundStep& c, float x0, float guess, float f) {
  // In this order, so that min = the posterior's leaves no rounding of logarithms in the gap.
  const float above = f * (c.log_variance_max - c.log_variance_min);
  const float gap = (c.log_variance_min - c.posterior_log_variance) + above;
  const float rest = exp_remainder(gap), difference = c.posterior_x0 * (x0 - guess);
  const float squared = difference * difference * exp_f32(-(c.log_variance_min + above));
  return {0.5f * (rest + squared), 0.5f * (gap - rest - squared)};
}

/// -ln of the mass of x0's bin, t = 0.
HAZE_HD inline BoundTerm likelihood(const BoundRange& range, double x0, double mean,
                                    double log_variance) {
  constexpr double kFar = 1e30, kRootHalf = 0.70710678118654752, kPhi0 = 0.39894228040143268;
  const double half = (double(range.hi) - double(range.lo)) / 510;
  const double per_sigma = std::exp(-log_variance / 2);
  double a = (x0 - mean - half) * per_sigma, b = (x0 - mean + half) * per_sigma;
  if (x0 < double(range.lo) + half) a = -kFar;
  if (x0 > double(range.hi) - half) b = kFar;
  if (a + b < 0) {  // mirrored: both tails beyond a and b are the small ones
    const double left = a;
    a = -b;
    b = -left;
  }
  double mass = 0, slope = 0;
#if defined(__CUDA_ARCH__)
#pragma unroll 1  // one copy of erfc, or sm_90's registers do not suffice
#endif
  for (int side = 0; side < 2; ++side) {
    const double x = side == 0 ? a : b, sign = side == 0 ? 1 : -1;
    mass += sign / 2 * std::erfc(x * kRootHalf);
    slope -= sign * kPhi0 * x * std::exp(-x * x / 2);
  }
  if (mass < 1e-12) return {27.6310211f, 0.0f};
  return {float(-std::log(mass)), float(slope / (2 * mass))};
}

/// The term of one value. v: the network's variance; ignored where `learned` is false.
HAZE_HD inline BoundTerm bound_term(const BoundStep& c, const BoundRange& range, bool first,
                                    float x0, float x_t, float out, float v, bool learned) {
  const float f = learned ? (v + 1) / 2 : 0.0f;
  if (first) {
    double guess = double(c.x0_from_xt) * double(x_t) + double(c.x0_from_out) * double(out);
    if (range.clip) {
      guess = guess < double(range.lo) ? double(range.lo) : guess;
      guess = guess > double(range.hi) ? double(range.hi) : guess;
    }
    const double span = double(c.log_variance_max) - double(c.log_variance_min);
    return likelihood(range, double(x0), guess, double(c.log_variance_min) + double(f) * span);
  }
  float guess = c.x0_from_xt * x_t + c.x0_from_out * out;
  if (range.clip) {
    guess = guess < range.lo ? range.lo : guess;
    guess = guess > range.hi ? range.hi : guess;
  }
  return divergence(c, x0, guess, f);
}

}  // namespace haze::kernels
