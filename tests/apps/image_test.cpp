// SPDX-License-Identifier: MIT
// image_test.cpp — orientation, conversion, resizing and grids, on images made here.
#include "apps/image/image.h"

#include "apps/image/grid.h"
#include "apps/image/jpeg.h"
#include "apps/image/resize.h"
#include "tests/support/pictures.h"
#include "tests/support/test.h"

namespace haze::apps {
namespace {
using test::Bytes;
using test::picture;

Bytes exif(bool little, const std::vector<std::array<unsigned, 4>>& entries,
           unsigned claimed = 0xFFFF) {
  Bytes b = {'E', 'x', 'i', 'f', 0, 0};
  const auto number = [&](unsigned v, int bytes) {
    for (int i = 0; i < bytes; ++i)
      b.push_back(std::uint8_t(v >> 8 * (little ? i : bytes - 1 - i)));
  };
  number(little ? 0x4949 : 0x4D4D, 2);
  number(42, 2);
  number(8, 4);
  number(claimed == 0xFFFF ? unsigned(entries.size()) : claimed, 2);
  for (const auto& [tag, type, count, value] : entries) {
    number(tag, 2);
    number(type, 2);
    number(count, 4);
    number(value, 2);
    number(0, 2);
  }
  return b;
}

TEST(Exif, FindsTheOrientationAndNothingElse) {
  for (const bool little : {false, true}) {
    for (unsigned v = 1; v <= 8; ++v)
      EXPECT_EQ(exif_orientation(exif(little, {{0x10F, 2, 4, 7}, {0x112, 3, 1, v}})), int(v));
    EXPECT_EQ(exif_orientation(exif(little, {{0x112, 3, 1, 0}})), 1);
    EXPECT_EQ(exif_orientation(exif(little, {{0x112, 3, 1, 9}})), 1);
    EXPECT_EQ(exif_orientation(exif(little, {{0x112, 4, 1, 6}})), 1);
    EXPECT_EQ(exif_orientation(exif(little, {{0x112, 3, 2, 6}})), 1);
    EXPECT_EQ(exif_orientation(exif(little, {})), 1);
    // More entries promised than there are: those that lie inside count.
    EXPECT_EQ(exif_orientation(exif(little, {{0x112, 3, 1, 6}}, 65534)), 6);
    EXPECT_EQ(exif_orientation(exif(little, {{0x10F, 3, 1, 6}}, 65534)), 1);
  }
  const Bytes whole = exif(true, {{0x10F, 2, 4, 7}, {0x112, 3, 1, 6}});
  for (std::size_t n = 0; n < whole.size(); ++n) {  // on the heap at its exact size: overreads show
    const Bytes cut(whole.begin(), whole.begin() + std::ptrdiff_t(n));
    EXPECT_EQ(exif_orientation(cut), 1) << n;
  }
  for (const unsigned offset : {0u, 0x7FFFFFFFu, 0xFFFFFFFFu, 30u, 31u, 32u, 33u, 34u}) {
    Bytes bad = whole;
    for (int i = 0; i < 4; ++i) bad[std::size_t(10 + i)] = std::uint8_t(offset >> 8 * i);
    EXPECT_EQ(exif_orientation(bad), 1) << offset;
  }
}

// The eight ways a camera can lie on its side,
// drawn with the letter F of TIFF's and EXIF's own figure.
TEST(Image, Upright) {
  const Bytes f = {1, 1, 1, 0, 1, 0};  // 3 rows of 2: "11", "10", "10"
  const auto stored = [](int h, int w, Bytes b) { return Image{h, w, 1, std::move(b)}; };
  const std::pair<int, Image> cases[] = {
      {1, stored(3, 2, {1, 1, 1, 0, 1, 0})}, {2, stored(3, 2, {1, 1, 0, 1, 0, 1})},
      {3, stored(3, 2, {0, 1, 0, 1, 1, 1})}, {4, stored(3, 2, {1, 0, 1, 0, 1, 1})},
      {5, stored(2, 3, {1, 1, 1, 1, 0, 0})}, {6, stored(2, 3, {1, 0, 0, 1, 1, 1})},
      {7, stored(2, 3, {0, 0, 1, 1, 1, 1})}, {8, stored(2, 3, {1, 1, 1, 0, 0, 1})}};
  for (const auto& [orientation, image] : cases) {
    const Image up = upright(image, orientation);
    EXPECT_EQ(std::pair(up.height, up.width), std::pair(3, 2)) << orientation;
    EXPECT_EQ(up.pixels, f) << orientation;
  }
  EXPECT_THROW(upright(picture(2, 2, 1), 9), CheckError);
}

TEST(Image, WithChannels) {
  const Image grey{1, 2, 1, {7, 250}}, colour{1, 4, 3, {255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9}};
  EXPECT_EQ(with_channels(grey, 3).pixels, (Bytes{7, 7, 7, 250, 250, 250}));
  EXPECT_EQ(with_channels(colour, 1).pixels, (Bytes{76, 150, 29, 9}));
  EXPECT_EQ(with_channels(colour, 3).pixels, colour.pixels);
}

/// The formula in double: triangle of radius max(1, scale) around each result pixel's centre.
std::vector<double> resized(const Image& from, int h, int w) {
  const double scale = std::min(double(from.height) / h, double(from.width) / w),
               radius = std::max(1.0, scale);
  const auto taps = [&](int n, int to, int i) {
    auto weight = std::vector<double>(std::size_t(n));
    const double centre = (n - to * scale) / 2 + (i + 0.5) * scale;
    double sum = 0;
    for (int k = 0; k < n; ++k)
      sum += weight[std::size_t(k)] = std::max(0.0, 1 - std::abs(k + 0.5 - centre) / radius);
    for (double& v : weight) v /= sum;
    return weight;
  };
  std::vector<double> out;
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x) {
      const auto down = taps(from.height, h, y), across = taps(from.width, w, x);
      for (int c = 0; c < from.channels; ++c) {
        double sum = 0;
        for (int v = 0; v < from.height; ++v)
          for (int u = 0; u < from.width; ++u)
            sum += down[std::size_t(v)] * across[std::size_t(u)] *
                   from.pixels[(std::size_t(v) * from.width + u) * from.channels + c];
        out.push_back(sum);
      }
    }
  return out;
}

TEST(Resize, MatchesTheFormula) {
  const int cases[][4] = {{28, 28, 32, 32}, {60, 45, 16, 16}, {45, 60, 16, 8}, {37, 100, 9, 20},
                          {8, 8, 8, 8},     {50, 31, 1, 1},   {3, 3, 7, 5},    {1, 1, 4, 4}};
  for (const auto& [from_h, from_w, h, w] : cases)
    for (const int channels : {1, 3}) {
      const Image from = picture(from_h, from_w, channels);
      Bytes to(std::size_t(h) * w * channels);
      resize_and_crop(from.pixels.data(), from_h, from_w, channels, to.data(), h, w);
      // Half a step of rounding at the end, the rest for the rounded weights and rows.
      test::expect_close(to, resized(from, h, w), 0, 0.55,
                         cat(from_h, 'x', from_w, " to ", h, 'x', w));
    }
}

TEST(Resize, KeepsWhatItMust) {
  for (const int value : {0, 1, 254, 255})
    for (const int side : {5, 28, 300}) {  // flat stays flat, at any scale
      const Image flat{side, side, 1, Bytes(std::size_t(side) * side, std::uint8_t(value))};
      Bytes to(17 * 17);
      resize_and_crop(flat.pixels.data(), side, side, 1, to.data(), 17, 17);
      EXPECT_EQ(to, Bytes(17 * 17, std::uint8_t(value)));
    }
  Image checks{64, 64, 1, Bytes(64 * 64)};  // the finest pattern becomes grey and does not alias
  for (int i = 0; i < 64 * 64; ++i) checks.pixels[std::size_t(i)] = (i + i / 64) % 2 ? 255 : 0;
  Bytes to(16 * 16);
  resize_and_crop(checks.pixels.data(), 64, 64, 1, to.data(), 16, 16);
  for (const std::uint8_t v : to) EXPECT_NEAR(v, 127.5, 13);
  Image wide{10, 30, 1, Bytes(300, 0)};  // cut around the centre: only the middle third is seen
  for (int y = 0; y < 10; ++y) std::fill_n(wide.pixels.begin() + y * 30 + 8, 14, 200);
  Bytes middle(100);
  resize_and_crop(wide.pixels.data(), 10, 30, 1, middle.data(), 10, 10);
  EXPECT_EQ(middle, Bytes(100, 200));
}

TEST(Grid, ToBytes) {
  const std::vector<float> signed_values = {-2, -1, -0.9961f, 0,         0.5f,
                                            1,  9,  NAN,      -INFINITY, INFINITY};
  EXPECT_EQ(to_bytes(signed_values, Range::minus_one_to_one),
            (Bytes{0, 0, 0, 128, 191, 255, 255, 0, 0, 255}));
  EXPECT_EQ(to_bytes(std::vector<float>{-1, 0, 0.5f, 1, 2, NAN}, Range::zero_to_one),
            (Bytes{0, 0, 128, 255, 255, 0}));
  for (int v = 0; v < 256; ++v) {  // bytes that became floats come back
    EXPECT_EQ(to_bytes(std::vector{v / 127.5f - 1}, Range::minus_one_to_one),
              Bytes{std::uint8_t(v)});
    EXPECT_EQ(to_bytes(std::vector{v / 255.f}, Range::zero_to_one), Bytes{std::uint8_t(v)});
  }
}

TEST(Grid, PutsImagesSideBySide) {
  const Bytes five = {1, 1, 2, 2, 3, 3, 4, 4, 5, 5};  // five images of 1x2
  const Image grid = make_grid(five, 5, 1, 2, 1);     // three columns, two rows
  EXPECT_EQ(std::pair(grid.height, grid.width), std::pair(2 + 2, 3 * 2 + 4));
  EXPECT_EQ(Bytes(grid.pixels.begin(), grid.pixels.begin() + 10),
            (Bytes{1, 1, 0, 0, 2, 2, 0, 0, 3, 3}));
  EXPECT_EQ(Bytes(grid.pixels.begin() + 10, grid.pixels.begin() + 30), Bytes(20, 0));
  EXPECT_EQ(Bytes(grid.pixels.begin() + 30, grid.pixels.end()),
            (Bytes{4, 4, 0, 0, 5, 5, 0, 0, 0, 0}));
  EXPECT_EQ(make_grid(five, 5, 1, 2, 1, 8).width, 5 * 2 + 8) << "no empty columns";
  EXPECT_EQ(make_grid(five, 1, 1, 10, 1).pixels, five);
  EXPECT_EQ(make_grid(picture(12, 4, 3).pixels, 3, 4, 4, 3, 1).height, 3 * 4 + 4);
  EXPECT_THROW(make_grid(five, 6, 1, 2, 1), CheckError);
}

}  // namespace
}  // namespace haze::apps
