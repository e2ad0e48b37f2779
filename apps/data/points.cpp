// SPDX-License-Identifier: MIT
#include "apps/data/points.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "apps/data/draws.h"
#include "kernels/base/check.h"

namespace haze::apps {
namespace {

using std::numbers::pi;
constexpr std::uint32_t kFirstSet = 2;  // numbers of these drawn sets; 0 and 1 are images

float on_grid(double v) { return float(std::nearbyint(v * 0x1p20) * 0x1p-20); }

double square_distance(Point p, Point a, Point b) {
  const double dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
  const double t = std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / length2, 0.0, 1.0);
  const double ex = p.x - a.x - t * dx, ey = p.y - a.y - t * dy;
  return ex * ex + ey * ey;
}

}  // namespace

std::optional<PointSet> point_set_of(std::string_view spec) {
  constexpr std::string_view kKind = "points:";
  if (!spec.starts_with(kKind)) return {};
  spec.remove_prefix(kKind.size());
  return value_of<PointSet>(spec.substr(0, spec.find(':')));
}

Point curve_at(PointSet set, double u) {
  if (set == PointSet::s_curve) {
    const double a = 3 * pi * (u - 0.5);
    return {std::sin(a) / 10, std::copysign(std::cos(a) - 1, a < 0 ? 1.0 : -1.0) / 10};
  }
  if (set == PointSet::swiss_roll) {
    const double a = 1.5 * pi * (1 + 2 * u);
    return {a * std::cos(a) / 50, a * std::sin(a) / 50};
  }
  const bool upper = u < 0.5;
  const double a = pi * (2 * u - (upper ? 0 : 1)), sign = upper ? 0.1 : -0.1;
  return {sign * (std::cos(a) - 0.5), sign * (std::sin(a) - 0.25)};
}

Dataset draw_points(PointSet set, int count) {
  Dataset points;
  points.count = count;
  points.height = points.width = 1;
  points.channels = 2;
  points.values.resize(std::size_t(count) * 2);
  const bool moons = set == PointSet::moons;
  if (moons) {
    points.labels.resize(std::size_t(count));
    points.class_names = {"upper", "lower"};
  }
  for (int i = 0; i < count; ++i) {
    Draws draws(kFirstSet + std::uint32_t(set), std::uint32_t(i));
    const double a = draws.uniform(0, 1);
    if (moons) points.labels[std::size_t(i)] = i % 2;
    const Point p = curve_at(set, moons ? (a + i % 2) / 2 : a);
    const double nx = draws.normal(), ny = draws.normal();
    points.values[2 * std::size_t(i)] = on_grid(p.x + kPointNoise * nx);
    points.values[2 * std::size_t(i) + 1] = on_grid(p.y + kPointNoise * ny);
  }
  return points;
}

CurveFit fit_curve(PointSet set, std::span<const float> points) {
  constexpr int kPieces = 4000;  // even: the gap between the moons lies between two of them
  HAZE_CHECK(!points.empty() && points.size() % 2 == 0, points.size(), " coordinates");
  std::vector<Point> from(kPieces), to(kPieces);
  for (int k = 0; k < kPieces; ++k) {
    from[std::size_t(k)] = curve_at(set, double(k) / kPieces);
    // Just short of the next piece's beginning, which may be on the other moon.
    to[std::size_t(k)] = curve_at(set, std::nextafter(double(k + 1) / kPieces, 0.0));
  }
  const int n = int(points.size() / 2);
  std::vector<double> distance(std::size_t(n), 0.0);
  std::vector<int> tenth(std::size_t(n), 0);
#pragma omp parallel for schedule(static)
  for (int i = 0; i < n; ++i) {
    const Point p{points[2 * std::size_t(i)], points[2 * std::size_t(i) + 1]};
    double least = INFINITY;
    int nearest = 0;
    for (int k = 0; k < kPieces; ++k) {
      const double d = square_distance(p, from[std::size_t(k)], to[std::size_t(k)]);
      if (d < least) least = d, nearest = k;
    }
    distance[std::size_t(i)] = std::isfinite(p.x + p.y) ? std::sqrt(least) : NAN;
    tenth[std::size_t(i)] = nearest / (kPieces / 10);
  }
  CurveFit fit;
  for (int i = 0; i < n; ++i) {
    fit.mean_distance += distance[std::size_t(i)] / n;
    fit.shares[std::size_t(tenth[std::size_t(i)])] += 1.0 / n;
  }
  return fit;
}

}  // namespace haze::apps
