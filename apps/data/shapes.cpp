// SPDX-License-Identifier: MIT
// shapes.cpp — circles, squares and triangles in colour on backgrounds
// that fade from one colour to another.
#include <algorithm>
#include <array>
#include <cmath>

#include "apps/data/draws.h"
#include "apps/data/loaders.h"

namespace haze::apps {
namespace {

constexpr int kSide = 32;
constexpr std::uint32_t kShapes = 1;  // number of this drawn set
enum Shape { circle, square, triangle };

using Colour = std::array<double, 3>;

Colour colour(Draws& draws, double low, double high) {
  return {draws.uniform(low, high), draws.uniform(low, high), draws.uniform(low, high)};
}

/// Signed distance to the shape's edge, negative inside; `r` is the circle's radius, and the others
/// are sized to look as large.
double distance(Shape shape, double x, double y, double r) {
  if (shape == circle) return std::sqrt(x * x + y * y) - r;
  if (shape == square) return std::max(std::abs(x), std::abs(y)) - 0.9 * r;
  // The three sides of an equilateral triangle lie 0.65 r from its centre.
  return std::max(y, 0.8660254037844386 * std::abs(x) - 0.5 * y) - 0.65 * r;
}

void draw_shape(Shape shape, Draws& draws, std::uint8_t* pixels) {
  const double r = draws.uniform(6, 11), turn = draws.uniform(0, 6.283185307179586);
  const double c = std::cos(turn), s = std::sin(turn);
  const double room = 15.5 - 1.1 * r;  // a corner may leave the picture, the shape may not
  const double cx = 15.5 + room * draws.uniform(-1, 1), cy = 15.5 + room * draws.uniform(-1, 1);
  // Dark on light or light on dark, so that the shape always shows.
  const bool light = draws.below(2) == 1;
  const Colour front = light ? colour(draws, 140, 255) : colour(draws, 0, 115);
  const Colour from = light ? colour(draws, 0, 100) : colour(draws, 155, 255);
  const Colour to = light ? colour(draws, 0, 100) : colour(draws, 155, 255);
  const double fade = draws.uniform(0, 6.283185307179586), fx = std::cos(fade), fy = std::sin(fade);
  for (int y = 0; y < kSide; ++y)
    for (int x = 0; x < kSide; ++x) {
      const double px = x - cx, py = y - cy;
      const double cover =
          std::clamp(0.5 - distance(shape, c * px + s * py, c * py - s * px, r), 0.0, 1.0);
      const double t = 0.5 + (fx * (x - 15.5) + fy * (y - 15.5)) / (kSide * 1.4143);
      for (int k = 0; k < 3; ++k) {
        const double back = from[std::size_t(k)] + t * (to[std::size_t(k)] - from[std::size_t(k)]);
        pixels[(y * kSide + x) * 3 + k] =
            std::uint8_t(back + cover * (front[std::size_t(k)] - back) + 0.5);
      }
    }
}

}  // namespace

Dataset draw_shapes(int count) {
  Dataset set;
  set.count = count;
  set.height = set.width = kSide;
  set.channels = 3;
  set.images.resize(std::size_t(count) * kSide * kSide * 3);
  set.labels.resize(std::size_t(count));
  set.class_names = {"circle", "square", "triangle"};
#pragma omp parallel for schedule(static)
  for (int i = 0; i < count; ++i) {
    Draws draws(kShapes, std::uint32_t(i));
    set.labels[std::size_t(i)] = i % 3;
    draw_shape(Shape(i % 3), draws, set.images.data() + std::size_t(i) * kSide * kSide * 3);
  }
  return set;
}

}  // namespace haze::apps
