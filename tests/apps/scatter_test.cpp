// SPDX-License-Identifier: MIT
// scatter_test.cpp — scatter plots: what lies where, and that nothing lies elsewhere.
#include "apps/image/scatter.h"

#include <cmath>

#include "tests/support/test.h"

namespace haze::apps {
namespace {

int red(const Image& image, int x, int y) {
  return image.pixels[(std::size_t(y) * image.width + x) * 3];
}

/// Pixels that are neither white nor the frame's grey.
int marked(const Image& image) {
  int n = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) n += red(image, x, y) != 255 && red(image, x, y) != 170;
  return n;
}

// A panel of 102x52 has 100x50 pixels inside its frame: one unit of x is 10 of them, of y also. The
// point (1.05, 2.05) lies at the middle of pixel 10 from the left and 20 from the bottom.
TEST(Scatter, PutsPointsWhereTheyBelong) {
  ScatterOptions o;
  o.x_low = 0, o.x_high = 10, o.y_low = 0, o.y_high = 5;
  o.width = 102, o.height = 52, o.radius = 1.2;
  const std::vector<float> point = {1.05f, 2.05f};
  const ScatterPanel panel{point};
  const Image image = draw_scatter({&panel, 1}, o);
  ASSERT_EQ(std::vector({image.height, image.width, image.channels}), std::vector({52, 102, 3}));
  const int x = 1 + 10, y = 1 + 49 - 20;
  EXPECT_LT(red(image, x, y), 140);
  EXPECT_EQ(red(image, x - 1, y), red(image, x + 1, y)) << "round";
  EXPECT_EQ(red(image, x, y - 1), red(image, x, y + 1));
  EXPECT_GT(red(image, x + 1, y + 1), red(image, x + 1, y)) << "soft at the edge";
  EXPECT_EQ(red(image, x + 2, y), 255);
  EXPECT_EQ(marked(image), 9);
  EXPECT_EQ(red(image, 0, 0), 170);
  EXPECT_EQ(red(image, 101, 51), 170);
}

TEST(Scatter, LeavesOutWhatIsOutside) {
  ScatterOptions o;
  o.width = o.height = 20;
  const std::vector<float> points = {NAN, 0, 0,      NAN,   INFINITY, 0, 1e30f,
                                     0,   0, -1e30f, 1.01f, 0,        0, -1.01f};
  const ScatterPanel panel{points};
  EXPECT_EQ(marked(draw_scatter({&panel, 1}, o)), 0);
  const std::vector<float> corner = {1, 1, -1, -1};  // partly outside: cut, not written elsewhere
  const ScatterPanel cut{corner};
  EXPECT_EQ(marked(draw_scatter({&cut, 1}, o)), 2 * 3);
}

TEST(Scatter, GetsDenserWherePointsCrowd) {
  ScatterOptions o;
  o.width = o.height = 21;  // 19 inside: the origin is a pixel's middle
  const std::vector<float> one = {0, 0}, three = {0, 0, 0, 0, 0, 0};
  const ScatterPanel a{one}, b{three};
  EXPECT_GT(red(draw_scatter({&a, 1}, o), 10, 10), red(draw_scatter({&b, 1}, o), 10, 10) + 30);
}

TEST(Scatter, PanelsStandInRows) {
  ScatterOptions o;
  o.width = 20, o.height = 30, o.columns = 2;
  const std::vector<float> middle = {0, 0}, none;
  const std::vector<ScatterPanel> panels = {{none}, {none}, {middle}};
  const Image image = draw_scatter(panels, o);
  EXPECT_EQ(std::vector({image.height, image.width}), std::vector({64, 44}));
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      if (red(image, x, y) != 255 && red(image, x, y) != 170) {
        EXPECT_GT(y, 34 + 10);
        EXPECT_LT(x, 20);
      }
  EXPECT_GT(marked(image), 0);
  EXPECT_EQ(red(image, 30, 40), 255) << "no fourth panel";
  o.columns = 0;
  EXPECT_EQ(draw_scatter(panels, o).width, 44);
}

// A curve of one piece from corner to corner of the box passes through its middle, in the colour of
// curves, over the dots.
TEST(Scatter, DrawsTheCurveOverThePoints) {
  ScatterOptions o;
  o.width = o.height = 21;
  o.curve = {{-1, -1, 1, 1}};
  const std::vector<float> points = {0, 0};
  const ScatterPanel panel{points};
  const Image image = draw_scatter({&panel, 1}, o);
  EXPECT_GT(red(image, 10, 10), 200) << "orange";
  EXPECT_LT(image.pixels[(10 * 21 + 10) * 3 + 2], 60);
  EXPECT_NE(red(image, 1, 19), 255) << "lower left end";
  EXPECT_EQ(red(image, 1, 1), 255);
}

}  // namespace
}  // namespace haze::apps
