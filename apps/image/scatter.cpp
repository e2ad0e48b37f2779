// SPDX-License-Identifier: MIT
#include "apps/image/scatter.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/check.h"

namespace haze::apps {
namespace {

using Colour = std::array<double, 3>;
constexpr Colour kDots = {31, 87, 160}, kCurve = {214, 80, 28};
constexpr double kOpacity = 0.6;  // of one dot, so that crowded places show
constexpr int kFrame = 170, kGutter = 4;

/// A panel in [0,1]: how much of each pixel a colour covers.
struct Ink {
  int width, height;
  std::vector<float> cover;

  Ink(int w, int h) : width(w), height(h), cover(std::size_t(w) * h) {}

  /// Lets `coverage(x, y)` (pixels' centres) act on the pixels within `reach` of [x0,x1]x[y0,y1].
  template <class Coverage, class Join>
  void mark(double x0, double x1, double y0, double y1, double reach, Coverage coverage,
            Join join) {
    const auto first = [&](double v) { return std::max(0, int(std::ceil(v - reach))); };
    const int last_x = std::min(width - 1, int(std::floor(x1 + reach)));
    const int last_y = std::min(height - 1, int(std::floor(y1 + reach)));
    for (int y = first(y0); y <= last_y; ++y)
      for (int x = first(x0); x <= last_x; ++x) {
        float& c = cover[std::size_t(y) * width + x];
        c = join(c, float(coverage(x, y)));
      }
  }
};

/// 1 within `radius` of the centre, falling to 0 over one pixel.
double soft_edge(double distance, double radius) {
  return std::clamp(radius + 0.5 - distance, 0.0, 1.0);
}

void paint(Image& into, int left, int top, const Ink& ink, const Colour& colour) {
  for (int y = 0; y < ink.height; ++y)
    for (int x = 0; x < ink.width; ++x) {
      std::uint8_t* pixel = into.pixels.data() + (std::size_t(top + y) * into.width + left + x) * 3;
      // In 8 steps: a cloud has few colours, and its PNG is small.
      const double c = std::round(8 * double(ink.cover[std::size_t(y) * ink.width + x])) / 8;
      for (std::size_t k = 0; k < 3; ++k)
        pixel[k] = std::uint8_t(pixel[k] + c * (colour[k] - pixel[k]) + 0.5);
    }
}

void frame(Image& into, int left, int top, int width, int height) {
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      if (x == 0 || y == 0 || x == width - 1 || y == height - 1)
        std::fill_n(into.pixels.data() + (std::size_t(top + y) * into.width + left + x) * 3, 3,
                    std::uint8_t(kFrame));
}

}  // namespace

Image draw_scatter(std::span<const ScatterPanel> panels, const ScatterOptions& o) {
  HAZE_CHECK(!panels.empty() && o.width >= 8 && o.height >= 8 && o.columns >= 0 &&
                 o.x_low < o.x_high && o.y_low < o.y_high && o.radius > 0,
             panels.size(), " panels of ", o.width, "x", o.height, " over [", o.x_low, ",",
             o.x_high, "]x[", o.y_low, ",", o.y_high, "], radius ", o.radius);
  const int n = int(panels.size()), width = o.width - 2, height = o.height - 2;
  int columns = o.columns;
  while (o.columns == 0 && columns * columns < n) ++columns;
  columns = std::min(columns, n);
  const int rows = (n + columns - 1) / columns;
  Image image{
      rows * (o.height + kGutter) - kGutter, columns * (o.width + kGutter) - kGutter, 3, {}};
  image.pixels.assign(std::size_t(image.height) * image.width * 3, 255);

  // Edges of the box are edges of the inner picture: centres of pixels are at whole numbers.
  const auto column_of = [&](double x) {
    return (x - o.x_low) / (o.x_high - o.x_low) * width - 0.5;
  };
  const auto row_of = [&](double y) {
    return (o.y_high - y) / (o.y_high - o.y_low) * height - 0.5;
  };
  Ink lines(width, height);
  for (const auto& [x0, y0, x1, y1] : o.curve) {
    const double ax = column_of(x0), ay = row_of(y0), dx = column_of(x1) - ax, dy = row_of(y1) - ay,
                 length2 = std::max(dx * dx + dy * dy, 1e-12);
    lines.mark(
        std::min(ax, ax + dx), std::max(ax, ax + dx), std::min(ay, ay + dy), std::max(ay, ay + dy),
        1.5,
        [&](double x, double y) {
          const double t = std::clamp(((x - ax) * dx + (y - ay) * dy) / length2, 0.0, 1.0);
          return soft_edge(std::hypot(x - ax - t * dx, y - ay - t * dy), 0.8);
        },
        [](float a, float b) { return std::max(a, b); });
  }
  for (int i = 0; i < n; ++i) {
    const int left = i % columns * (o.width + kGutter), top = i / columns * (o.height + kGutter);
    const auto points = panels[std::size_t(i)].points;
    HAZE_CHECK(points.size() % 2 == 0, points.size(), " coordinates");
    Ink dots(width, height);
    const double zoom = panels[std::size_t(i)].zoom;
    const double mx = (o.x_low + o.x_high) / 2, my = (o.y_low + o.y_high) / 2;
    for (std::size_t k = 0; k + 1 < points.size(); k += 2) {
      const double px = mx + zoom * (points[k] - mx), py = my + zoom * (points[k + 1] - my);
      if (!(px >= o.x_low && px <= o.x_high && py >= o.y_low && py <= o.y_high)) continue;
      const double cx = column_of(px), cy = row_of(py);
      dots.mark(
          cx, cx, cy, cy, o.radius + 0.5,
          [&](double x, double y) {
            return kOpacity * soft_edge(std::hypot(x - cx, y - cy), o.radius);
          },
          [](float a, float b) { return a + b - a * b; });
    }
    paint(image, left + 1, top + 1, dots, kDots);
    paint(image, left + 1, top + 1, lines, kCurve);
    frame(image, left, top, o.width, o.height);
  }
  return image;
}

}  // namespace haze::apps
