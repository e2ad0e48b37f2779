// SPDX-License-Identifier: MIT
// schedule_test.cpp — the schedules against their formulas and limits.
#include "model/schedule.h"

#include "tests/support/test.h"

namespace haze::model {
namespace {

TEST(Schedule, LinearHasItsEndsAndProduct) {
  const Schedule s = make_schedule({.steps = 1000});
  ASSERT_EQ(s.steps(), 1000);
  EXPECT_DOUBLE_EQ(s.beta.front(), 1e-4);
  EXPECT_DOUBLE_EQ(s.beta.back(), 0.02);
  EXPECT_NEAR(s.beta[500] - s.beta[499], (0.02 - 1e-4) / 999, 1e-15);
  double product = 1;
  for (const double beta : s.beta) product *= 1 - beta;
  EXPECT_NEAR(s.alpha_bar.back(), product, 1e-18);
  EXPECT_EQ(s.alpha_bar_at(-1), 1.0);
}

TEST(Schedule, CosineFollowsItsAlphaBarUntilTheCap) {
  const Schedule s = make_schedule({.steps = 1000, .schedule = ScheduleKind::cosine});
  const auto f = [](double t) {
    return std::pow(std::cos((t / 1000 + 0.008) / 1.008 * std::acos(-1.0) / 2), 2);
  };
  for (const int t : {0, 1, 250, 500, 990})
    EXPECT_NEAR(s.alpha_bar[std::size_t(t)], f(t + 1) / f(0), 1e-12) << t;
  EXPECT_DOUBLE_EQ(s.beta.back(), 0.999);
}

TEST(Schedule, SigmoidIsScaledToItsRange) {
  const Schedule s = make_schedule(
      {.steps = 101, .schedule = ScheduleKind::sigmoid, .beta_start = 1e-5, .beta_end = 0.5e-2});
  EXPECT_NEAR(s.beta[50], 1e-5 + (0.5e-2 - 1e-5) / 2, 1e-15);
  EXPECT_NEAR(s.beta[0], 1e-5 + (0.5e-2 - 1e-5) / (1 + std::exp(6.0)), 1e-15);
}

TEST(Schedule, SigmoidOfAlphaBarIsLucidrains) {
  const Schedule s = make_schedule({.steps = 10, .schedule = ScheduleKind::sigmoid_alpha_bar});
  // alpha_bar = (sigmoid(3) - sigmoid(6t/T - 3))/(sigmoid(3) - sigmoid(-3)), computed in Python.
  const double beta[] = {0.0394927827, 0.0674928363, 0.1105484176, 0.1703906018, 0.2434785965,
                         0.3218396669, 0.4003302155, 0.4869571930, 0.6214270507, 0.999};
  for (std::size_t t = 0; t < 10; ++t) EXPECT_NEAR(s.beta[t], beta[t], 1e-9) << t;
}

TEST(Schedule, SinglePrecisionIsWhatFloatsGive) {
  const Schedule s = in_single_precision(make_schedule({.steps = 20}));
  EXPECT_EQ(s.alpha_bar[0], double(1.0f - 1e-4f));
  EXPECT_EQ(s.alpha_bar[1], double((1.0f - 1e-4f) * (1.0f - float(s.beta[1]))));
  EXPECT_GT(std::abs((1 - s.alpha_bar[0]) / 1e-4 - 1), 1e-5) << "its error is that of floats";
}

TEST(Schedule, RefusesARangeThatIsNone) {
  EXPECT_THROW(make_schedule({.steps = 0}), InputError);
  EXPECT_THROW(make_schedule({.steps = 10, .beta_start = 0.5, .beta_end = 0.1}), InputError);
  EXPECT_THROW(make_schedule({.steps = 10, .beta_start = 0.1, .beta_end = 1.0}), InputError);
  EXPECT_THROW(make_schedule({.steps = 10, .beta_start = NAN}), InputError);
}

}  // namespace
}  // namespace haze::model
