// SPDX-License-Identifier: MIT
// digits.cpp — handwritten-looking digits: a skeleton of strokes per way of writing a digit, its
// points moved at random, drawn as splines, slanted, turned, stretched, and inked with a round pen.
// Sizes follow MNIST: ink within 20x20 pixels, its centre of mass in the middle of 28x28.
#include <algorithm>
#include <cmath>
#include <string_view>

#include "apps/data/digit_skeletons.h"
#include "apps/data/draws.h"
#include "apps/data/loaders.h"

namespace haze::apps {
namespace {

constexpr int kSide = 28;
constexpr std::uint32_t kDigits = 0;  // number of this drawn set

using Point = Skeleton::Point;

/// A stroke as short segments: a Catmull-Rom spline (uniform) through its points.
void trace(const std::vector<Point>& points, std::string_view stroke,
           std::vector<std::vector<Point>>& lines) {
  constexpr int kPieces = 6;  // per pair of points: 20 pixels of digit need no finer ones
  const int n = int(stroke.size());
  const bool closed = stroke.front() == stroke.back();
  const auto at = [&](int i) {
    if (closed) i = (i + n - 1) % (n - 1);
    return points[std::size_t(stroke[std::size_t(std::clamp(i, 0, n - 1))] - 'a')];
  };
  const auto spline = [](double p0, double p1, double p2, double p3, double t) {
    return p1 +
           t / 2 * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)));
  };
  auto& line = lines.emplace_back();
  for (int i = 0; i + 1 < n; ++i) {
    const Point a = at(i - 1), b = at(i), c = at(i + 1), d = at(i + 2);
    for (int k = 0; k < kPieces; ++k) {
      const double t = k / double(kPieces);
      line.push_back({spline(a.x, b.x, c.x, d.x, t), spline(a.y, b.y, c.y, d.y, t)});
    }
  }
  line.push_back(at(n - 1));
}

std::vector<std::vector<Point>> written(int digit, Draws& draws) {
  std::vector<const Skeleton*> ways;
  for (const Skeleton& s : kSkeletons)
    if (s.digit == digit) ways.push_back(&s);
  const Skeleton& way = *ways[std::size_t(draws.below(int(ways.size())))];

  auto points = way.points;
  for (Point& p : points) {
    p.x = p.x / 100 + 0.033 * draws.bell();
    p.y = p.y / 100 + 0.028 * draws.bell();
  }
  std::vector<std::vector<Point>> lines;
  for (const std::string_view stroke : way.strokes) trace(points, stroke, lines);

  const double width = draws.uniform(0.68, 1.28), slant = 0.12 + 0.17 * draws.bell();
  const double turn = 0.09 * draws.bell(), c = std::cos(turn), s = std::sin(turn);
  const double bend = 0.035 * draws.bell(), phase = draws.uniform(0, 6.283185307179586);
  for (auto& line : lines)
    for (Point& p : line) {
      const double y = p.y - 0.5;
      const double x = (p.x - 0.5) * width - slant * y + bend * std::sin(4 * y + phase);
      p = {c * x - s * y, s * x + c * y};
    }
  return lines;
}

/// Scales to the pixels' grid: the larger side of the ink about 20 pixels,
/// the centre of mass near the middle.
void place(std::vector<std::vector<Point>>& lines, double radius, Draws& draws) {
  Point low{1e9, 1e9}, high{-1e9, -1e9}, mean{0, 0};
  double n = 0;
  for (const auto& line : lines)
    for (const Point& p : line) {
      low = {std::min(low.x, p.x), std::min(low.y, p.y)};
      high = {std::max(high.x, p.x), std::max(high.y, p.y)};
      mean = {mean.x + p.x, mean.y + p.y};
      ++n;
    }
  const double side = std::max(high.x - low.x, high.y - low.y);
  const double scale = (20 * draws.uniform(0.88, 1.0) - 2 * radius) / side;
  // No ink on the outermost pixels, however heavy one side is.
  const double reach = 1.5 * radius + 1, far = kSide - 1 - reach;  // see ink() and draw_digits()
  const auto shift = [&](double mean, double low, double high) {
    const double middle = 13.5 + 0.5 * draws.bell() - mean * scale;
    return std::clamp(middle, reach - low * scale, far - high * scale);
  };
  const double dx = shift(mean.x / n, low.x, high.x), dy = shift(mean.y / n, low.y, high.y);
  for (auto& line : lines)
    for (Point& p : line) p = {p.x * scale + dx, p.y * scale + dy};
}

/// Pixels within the pen's radius of the segment, with an edge one pixel and a quarter wide.
void ink(Point a, Point b, double radius, std::uint8_t* pixels) {
  constexpr double kEdge = 1.25;
  const double reach = radius + kEdge / 2;
  const auto first = [&](double v) { return std::max(0, int(std::ceil(v - reach))); };
  const auto last = [&](double v) { return std::min(kSide - 1, int(std::floor(v + reach))); };
  const double dx = b.x - a.x, dy = b.y - a.y, length2 = std::max(dx * dx + dy * dy, 1e-12);
  for (int y = first(std::min(a.y, b.y)); y <= last(std::max(a.y, b.y)); ++y)
    for (int x = first(std::min(a.x, b.x)); x <= last(std::max(a.x, b.x)); ++x) {
      const double t = std::clamp(((x - a.x) * dx + (y - a.y) * dy) / length2, 0.0, 1.0);
      const double ex = x - a.x - t * dx, ey = y - a.y - t * dy;
      const double cover = std::clamp((reach - std::sqrt(ex * ex + ey * ey)) / kEdge, 0.0, 1.0);
      std::uint8_t& pixel = pixels[y * kSide + x];
      pixel = std::max(pixel, std::uint8_t(255 * cover + 0.5));
    }
}

}  // namespace

Dataset draw_digits(int count) {
  Dataset set;
  set.count = count;
  set.height = set.width = kSide;
  set.channels = 1;
  set.images.assign(std::size_t(count) * kSide * kSide, 0);
  set.labels.resize(std::size_t(count));
  for (char digit = '0'; digit <= '9'; ++digit) set.class_names.emplace_back(1, digit);
#pragma omp parallel for schedule(static)
  for (int i = 0; i < count; ++i) {
    Draws draws(kDigits, std::uint32_t(i));
    const int digit = i % 10;
    set.labels[std::size_t(i)] = digit;
    const double u = draws.uniform(0, 1), radius = 0.75 + 0.95 * u * u,
                 pressure = 0.12 * draws.bell();
    auto lines = written(digit, draws);
    place(lines, radius, draws);
    std::uint8_t* pixels = set.images.data() + std::size_t(i) * kSide * kSide;
    for (const auto& line : lines)
      for (std::size_t k = 0; k + 1 < line.size(); ++k)
        ink(line[k], line[k + 1],
            radius * (1 + pressure * (2.0 * double(k) / double(line.size()) - 1)), pixels);
  }
  return set;
}

}  // namespace haze::apps
