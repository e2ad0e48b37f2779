// SPDX-License-Identifier: MIT
// scatter.h — 2-D points as pictures: one panel per cloud, all to one scale.
#pragma once
#include <array>
#include <span>
#include <vector>

#include "apps/image/image.h"

namespace haze::apps {

struct ScatterPanel {
  std::span<const float> points;  // [n,2]: x to the right, y up
  double zoom = 1;  // shows the part of the box around its middle that is 1/zoom as wide
};

struct ScatterOptions {
  /// The box: what its left, right, lower and upper edges stand for. Points outside are left out.
  double x_low = -1, x_high = 1, y_low = -1, y_high = 1;
  int width = 256, height = 256;  // of a panel with its frame, in pixels
  int columns = 0;      // 0: the smallest whole number whose square is at least all panels
  double radius = 1.2;  // of a dot, in pixels
  /// Pieces of curves to draw over every panel: x0, y0, x1, y1 each.
  std::vector<std::array<double, 4>> curve;
};

/// Panels in rows on white with one pixel of frame. Dots are round and soft at the edge; where they
/// lie on each other the colour gets denser. Points that are not finite are left out. 3 channels.
Image draw_scatter(std::span<const ScatterPanel> panels, const ScatterOptions& options);

}  // namespace haze::apps
