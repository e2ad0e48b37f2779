// SPDX-License-Identifier: MIT
// points.h — 2-D points on curves, with noise: the smallest data that a diffusion model can learn,
// and the only data here whose true distribution is known, so that samples can be measured.
#pragma once
#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "apps/data/dataset.h"
#include "apps/words.h"

namespace haze::apps {

/// The curves, as scikit-learn's make_s_curve, make_moons and make_swiss_roll have them (of the two
/// in space the coordinates x and z), scaled so that the noise has the same size in each; the
/// middle of the moons is moved to the origin:
///   s_curve     (sin a, sign(a)(cos a - 1)) / 10,         a in [-3π/2, 3π/2]
///   moons       (cos a - 0.5, sin a - 0.25) / 10 and
///               (0.5 - cos a, 0.25 - sin a) / 10,         a in [0, π]
///   swiss_roll  (a cos a, a sin a) / 50,                  a in [3π/2, 9π/2]
/// Noise of standard deviation 0.01 is added to both coordinates (0.1 before the division by 10,
/// 0.5 before that by 50). The mean distance of such points
/// to their curve is 0.01·sqrt(2/π) = 0.008.
enum class PointSet : std::uint8_t { s_curve, moons, swiss_roll };
template <>
inline constexpr auto kWords<PointSet> = words_for<PointSet>("s_curve", "moons", "swiss_roll");
constexpr double kPointNoise = 0.01;

/// Of a whole specification; nothing if it is not one of points.
std::optional<PointSet> point_set_of(std::string_view spec);

struct Point {
  double x, y;
};
/// The noiseless curve at u in [0,1], a share of its parameter's range; of moons the first half is
/// the upper one, the second the lower.
Point curve_at(PointSet set, double u);

/// `count` points as images of 1x1x2, each with a and noise from its own row of random numbers, so
/// that the size of a set does not change its beginning; the moons take turns and are two classes.
/// Coordinates are rounded to multiples of 2^-20: every machine gets the same bits.
Dataset draw_points(PointSet set, int count);

/// How well points lie on the curve.
struct CurveFit {
  double mean_distance = 0;  // to the nearest point of the curve; NaN if a point is not finite
  std::array<double, 10> shares{};  // of the points whose nearest u lies in each tenth of [0,1]
};
/// points [n,2], n >= 1. The curve is taken as 4000 straight pieces, which changes no distance by
/// more than 1e-6.
CurveFit fit_curve(PointSet set, std::span<const float> points);

}  // namespace haze::apps
