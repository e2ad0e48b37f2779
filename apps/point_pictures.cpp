// SPDX-License-Identifier: MIT
#include "apps/point_pictures.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace haze::apps {
namespace {

/// Straight pieces of the noiseless curve; none across the gap between the moons.
std::vector<std::array<double, 4>> pieces(PointSet set) {
  constexpr int kPieces = 200;
  std::vector<std::array<double, 4>> curve;
  for (int k = 0; k < kPieces; ++k) {
    const Point a = curve_at(set, double(k) / kPieces),
                b = curve_at(set, std::nextafter(double(k + 1) / kPieces, 0.0));
    curve.push_back({a.x, a.y, b.x, b.y});
  }
  return curve;
}

/// Half the side of the square box that shows the set: its largest coordinate and five deviations
/// of the noise.
double reach(PointSet set) {
  double most = 0;
  for (const auto& piece : pieces(set))
    for (const double v : piece) most = std::max(most, std::abs(v));
  return most + 5 * kPointNoise;
}

ScatterOptions box(double half, int side) {
  ScatterOptions o;
  o.x_low = o.y_low = -half;
  o.x_high = o.y_high = half;
  o.width = o.height = side;
  return o;
}

}  // namespace

Image points_picture(PointSet set, std::span<const float> points) {
  ScatterOptions o = box(reach(set), 512);
  o.curve = pieces(set);
  const ScatterPanel panel{points};
  return draw_scatter({&panel, 1}, o);
}

Image panels_picture(PointSet set, const std::vector<std::vector<float>>& panels, int columns) {
  const double least = reach(set);
  ScatterOptions o = box(least, 96);
  o.columns = columns;
  o.radius = 0.6;
  std::vector<ScatterPanel> all;
  for (const auto& points : panels) {
    std::vector<double> sizes;
    for (const float v : points)
      if (std::isfinite(v)) sizes.push_back(std::abs(double(v)));
    std::ranges::sort(sizes);
    const double most = sizes.empty() ? 0 : sizes[(sizes.size() - 1) * 98 / 100];
    all.push_back({points, least / std::max(least, 1.05 * most)});
  }
  return draw_scatter(all, o);
}

std::string to_text(const CurveFit& fit) {
  char line[160];
  std::snprintf(line, sizeof line,
                "distance     %.4f on average to the noiseless curve\nper tenth   ",
                fit.mean_distance);
  std::string text = line;
  for (const double share : fit.shares) {
    std::snprintf(line, sizeof line, " %.1f", 100 * share);
    text += line;
  }
  return text + " % of the points, along the curve\n";
}

}  // namespace haze::apps
