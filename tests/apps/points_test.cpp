// SPDX-License-Identifier: MIT
// points_test.cpp — 2-D points: where they lie, that they stay, and how samples are measured.
#include "apps/data/points.h"

#include <cmath>
#include <numbers>

#include "apps/point_pictures.h"
#include "tests/support/data_files.h"
#include "tests/support/test.h"

namespace haze::apps {
namespace {
using std::numbers::pi;
using test::expect_refused;

constexpr PointSet kSets[] = {PointSet::s_curve, PointSet::moons, PointSet::swiss_roll};
constexpr const char* kSpecs[] = {"points:s_curve", "points:moons", "points:swiss_roll"};

void expect_at(PointSet set, double u, double x, double y) {
  const Point p = curve_at(set, u);
  EXPECT_NEAR(p.x, x, 1e-9) << int(set) << " at " << u;
  EXPECT_NEAR(p.y, y, 1e-9) << int(set) << " at " << u;
}

// By hand from scikit-learn's definitions: at the ends, at the quarters, in the middle.
TEST(Points, CurvesAreTheKnownOnes) {
  expect_at(PointSet::s_curve, 0, 0.1, 0.1);  // a = -3π/2: sin 1, -(0 - 1)
  expect_at(PointSet::s_curve, 0.5, 0, 0);
  expect_at(PointSet::s_curve, 0.5 + 1 / 3.0, 0, -0.2);  // a = π
  expect_at(PointSet::s_curve, 0.5 - 1 / 6.0, -0.1, 0.1);
  expect_at(PointSet::moons, 0, 0.05, -0.025);
  expect_at(PointSet::moons, 0.25, -0.05, 0.075);  // the top of the upper one
  expect_at(PointSet::moons, 0.5, -0.05, 0.025);
  expect_at(PointSet::moons, 1, 0.15, 0.025);
  expect_at(PointSet::swiss_roll, 0, 0, -1.5 * pi / 50);
  expect_at(PointSet::swiss_roll, 1, 0, 4.5 * pi / 50);
  expect_at(PointSet::swiss_roll, 1 / 6.0, 2 * pi / 50, 0);
}

// The distance to a smooth curve is the noise across it: |N(0, 0.01²)|, with mean 0.00798 and
// deviation 0.00603. Over 10 000 points 6.1e-5 of error; where a curve bends with radius r, noise
// along it adds at most 0.01²/2r = 5e-4. Shares: 0.1 ± 0.003, five deviations.
TEST(Points, ScatterAboutTheirCurve) {
  for (int k = 0; k < 3; ++k) {
    const Dataset set = open_dataset(kSpecs[k]);
    ASSERT_EQ(point_set_of(set.spec), kSets[k]);
    EXPECT_EQ(std::vector({set.count, set.height, set.width, set.channels}),
              std::vector({10000, 1, 1, 2}));
    ASSERT_EQ(set.values.size(), 20000u);
    EXPECT_TRUE(set.is_points() && set.images.empty());
    const CurveFit fit = fit_curve(kSets[k], set.values);
    EXPECT_NEAR(fit.mean_distance, 0.00798, 6e-4) << kSpecs[k];
    for (const double share : fit.shares) EXPECT_NEAR(share, 0.1, 0.015) << kSpecs[k];
  }
}

TEST(Points, StayTheSame) {
  EXPECT_EQ(open_dataset("points:s_curve:100").fingerprint, "1ddb66d2383ac1042daf557acaf168a0");
  EXPECT_EQ(open_dataset("points:moons:100").fingerprint, "225ac8bd747d6bceb8279dae6c261722");
  EXPECT_EQ(open_dataset("points:swiss_roll:100").fingerprint, "4a5c250320f7f5d49c4ae68f103e3259");
  const Dataset few = open_dataset("points:moons:30"), more = open_dataset("points:moons:61");
  EXPECT_TRUE(std::equal(few.values.begin(), few.values.end(), more.values.begin()));
  EXPECT_NE(few.fingerprint, more.fingerprint);
}

TEST(Points, MoonsAreTwoClasses) {
  const Dataset all = open_dataset("points:moons:101"),
                lower = open_dataset("points:moons:101", {.label = "lower"});
  EXPECT_EQ(all.class_names, (std::vector<std::string>{"upper", "lower"}));
  ASSERT_EQ(lower.count, 50);
  ASSERT_EQ(lower.values.size(), 100u);
  EXPECT_EQ(lower.labels, std::vector<std::int32_t>(50, 1));
  for (std::size_t i = 0; i < 50; ++i)
    EXPECT_EQ(lower.values[2 * i + 1], all.values[2 * (2 * i + 1) + 1]) << i;
  const CurveFit fit = fit_curve(PointSet::moons, lower.values);
  double upper_share = 0;
  for (std::size_t k = 0; k < 5; ++k) upper_share += fit.shares[k];
  EXPECT_LT(upper_share, 0.05) << "the tips come near each other";
}

// A cloud moved off the curve by a known amount along its normal is that far away.
TEST(Points, FitMeasuresDistanceAndPlace) {
  for (const PointSet set : kSets) {
    std::vector<float> points;
    for (int i = 0; i < 500; ++i) {
      const double u = (i + 0.5) / 500;
      const Point p = curve_at(set, u), q = curve_at(set, u + 1e-6);
      const double dx = q.x - p.x, dy = q.y - p.y, length = std::hypot(dx, dy);
      points.push_back(float(p.x - 0.02 * dy / length));
      points.push_back(float(p.y + 0.02 * dx / length));
    }
    const CurveFit fit = fit_curve(set, points);
    EXPECT_NEAR(fit.mean_distance, 0.02, 2e-5) << int(set);
    for (const double share : fit.shares) EXPECT_NEAR(share, 0.1, 0.0021) << int(set);
    points[7] = NAN;
    EXPECT_TRUE(std::isnan(fit_curve(set, points).mean_distance));
    points[7] = INFINITY;
    EXPECT_TRUE(std::isnan(fit_curve(set, points).mean_distance));
  }
  CurveFit fit;
  fit.mean_distance = 0.01234, fit.shares[3] = 0.123;
  EXPECT_THAT(to_text(fit), testing::HasSubstr("0.0123 on average"));
  EXPECT_THAT(to_text(fit), testing::HasSubstr(" 0.0 12.3 0.0 "));
}

TEST(Points, RefusesWhatPointsAreNot) {
  const auto refused = [](const std::string& spec, const DatasetOptions& options,
                          const std::string& why) {
    expect_refused([&] { open_dataset(spec, options); }, why);
  };
  refused("points:", {}, "can be drawn");
  refused("points:s-curve", {}, "points:s_curve[:N]");
  refused("points:moons:0", {}, "the number of points is a whole number from 1 to 1000000");
  refused("points:moons", {.height = 28}, "points are images of 1x1");
  refused("points:moons", {.channels = 3}, "has 2 channels; asked for: 3");
  refused("points:s_curve", {.label = "upper"}, "this data set has no classes");
  refused("points:moons", {.label = "Upper"}, "one of the classes upper, lower");
  EXPECT_EQ(open_dataset("points:moons:3", {.height = 1, .width = 1, .channels = 2}).count, 3);
  EXPECT_EQ(point_set_of("points:moonss"), std::nullopt);
  EXPECT_EQ(point_set_of("synthetic:moons"), std::nullopt);
}

}  // namespace
}  // namespace haze::apps
