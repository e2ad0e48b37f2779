// SPDX-License-Identifier: MIT
// sampler_test.cpp — coefficients against the published formulas and each other, times of a subset,
// and that an image depends on its seed and id alone.
#include "model/sampler.h"

#include <numeric>

#include "engine/random.h"
#include "tests/model/networks.h"
#include "tests/support/device.h"

namespace haze::model {
namespace {

using test::expect_input_error, test::ready, test::tiny;

/// Predicts eps = x: a chain through it can be computed by hand.
class Identity : public Network {
 public:
  engine::Var forward(engine::Tape&, const NetworkInput& in, const TrainingRandom*) override {
    times.push_back(test::read<std::int32_t>(in.t)[0]);
    return in.x;
  }
  std::vector<int> times;
};

TEST(SamplingTimes, AreEvenAndHoldBothEnds) {
  std::vector<int> all(10);
  std::iota(all.rbegin(), all.rend(), 0);
  EXPECT_EQ(sampling_times(10, 10), all);
  EXPECT_EQ(sampling_times(1000, 5), (std::vector{999, 749, 500, 250, 0}));
  EXPECT_EQ(sampling_times(1000, 1), (std::vector{999}));
  EXPECT_EQ(sampling_times(1, 1), (std::vector{0}));
  for (int steps = 2; steps <= 37; ++steps) {
    const auto times = sampling_times(37, steps);
    EXPECT_EQ(times.front(), 36);
    EXPECT_EQ(times.back(), 0);
    for (std::size_t k = 1; k < times.size(); ++k) EXPECT_GT(times[k - 1], times[k]) << steps;
  }
  expect_input_error([] { sampling_times(10, 11); }, "steps: 11; 1 to 10");
  expect_input_error([] { sampling_times(10, 0); }, "steps: 0; 1 to 10");
  expect_input_error([] { sampling_times(10, 1, Spacing::leading); },
                     "steps: 1; with the leading spacing that is time 0 of 10");
  EXPECT_EQ(sampling_times(1, 1, Spacing::leading), (std::vector{0}));
  EXPECT_EQ(sampling_times(10, 1, Spacing::leading, SamplerKind::dpmpp), (std::vector{5}));
}

TEST(SamplerSteps, DdpmIsAlgorithmTwo) {
  const DiffusionConfig d{.steps = 50};
  const Schedule s = make_schedule(d);
  for (const int t : {0, 1, 20, 49}) {
    const auto k = std::size_t(t);
    const auto c = ddpm_step(s, d, t, t - 1, -1, 1);
    EXPECT_NEAR(c.xt, 1 / std::sqrt(s.alpha[k]), 1e-6);
    EXPECT_NEAR(c.out, -s.beta[k] / std::sqrt(1 - s.alpha_bar[k]) / std::sqrt(s.alpha[k]), 1e-6);
    EXPECT_EQ(c.x0, 0);
    EXPECT_NEAR(c.sigma, t == 0 ? 0 : std::sqrt(s.beta[k]), 1e-7);
    DiffusionConfig last = d;
    last.noise_at_t0 = true;
    EXPECT_NEAR(ddpm_step(s, last, t, t - 1, -1, 1).sigma, std::sqrt(s.beta[k]), 1e-7);
    last.variance = Variance::beta_tilde;
    const double tilde = s.beta[k] * (1 - s.alpha_bar_at(t - 1)) / (1 - s.alpha_bar[k]);
    EXPECT_NEAR(ddpm_step(s, last, t, t - 1, -1, 1).sigma, std::sqrt(tilde), 1e-7);
  }
}

/// The coefficients of a step in x_t and eps alone, as if nothing were clipped.
std::array<double, 2> expanded(const engine::SamplerStep& c) {
  return {double(c.xt) + double(c.x0) * double(c.x0_from_xt),
          double(c.out) + double(c.x0) * double(c.x0_from_out)};
}

TEST(SamplerSteps, ClippingChangesNothingInsideTheRange) {
  DiffusionConfig plain{.steps = 100}, clips = plain;
  clips.clip_x0 = true;
  const Schedule s = make_schedule(plain);
  for (const auto [t, previous] : {std::array{99, 98}, {99, 60}, {50, 49}, {7, 3}, {0, -1}}) {
    // x0's coefficients are products of floats of size 1/sqrt(alpha_bar): 2^-23 of that size.
    const double tolerance = 4 * 0x1p-23 / std::sqrt(s.alpha_bar_at(t));
    for (const double eta : {-1.0, 0.0, 0.6, 1.0}) {  // -1: DDPM
      const auto step = [&](const DiffusionConfig& d) {
        return eta < 0 ? ddpm_step(s, d, t, previous, -2, 3)
                       : ddim_step(s, d, eta, t, previous, -2, 3);
      };
      const auto a = step(plain), b = step(clips);
      test::expect_close(expanded(b), expanded(a), 0, tolerance, cat("t ", t, " eta ", eta));
      EXPECT_EQ(a.sigma, b.sigma);
      EXPECT_FALSE(a.clip);
      EXPECT_TRUE(b.clip && b.lo == -2 && b.hi == 3);
    }
  }
}

TEST(SamplerSteps, DdimWithEtaOneIsDdpm) {
  const DiffusionConfig d{.steps = 100, .variance = Variance::beta_tilde};
  const Schedule s = make_schedule(d);
  // On every step and on a subset: DDIM's sigma at
  // eta = 1 is the posterior's (Song et al., eq. 16).
  for (const auto [t, previous] :
       {std::array{99, 98}, {50, 49}, {99, 49}, {30, 1}, {1, 0}, {0, -1}}) {
    const auto a = ddim_step(s, d, 1, t, previous, -1, 1), b = ddpm_step(s, d, t, previous, -1, 1);
    test::expect_close(std::vector{a.xt, a.out, a.sigma}, std::vector{b.xt, b.out, b.sigma}, 1e-6,
                       1e-7, cat("t ", t));
  }
}

TEST(SamplerSteps, DdimWithoutNoiseStaysOnTheMarginals) {
  const DiffusionConfig d{.steps = 100};
  const Schedule s = make_schedule(d);
  // x_t made of x0 and eps goes to x_previous made of the same two (Song et al., eq. 12).
  const double x0 = 0.7, eps = -1.3;
  for (const auto [t, previous] : {std::array{99, 98}, {99, 9}, {20, 10}, {5, -1}}) {
    const auto marginal = [&](int at) {
      const double ab = s.alpha_bar_at(at);
      return std::sqrt(ab) * x0 + std::sqrt(1 - ab) * eps;
    };
    const auto c = ddim_step(s, d, 0, t, previous, -1, 1);
    EXPECT_NEAR(double(c.xt) * marginal(t) + double(c.out) * eps, marginal(previous), 1e-6) << t;
    EXPECT_EQ(c.sigma, 0);
  }
}

TEST(Sampler, ChainThroughTheIdentityIsTheProductOfItsSteps) {
  const DiffusionConfig d{.steps = 12, .beta_end = 0.3};
  const Schedule s = make_schedule(d);
  engine::Context context{test::device()};
  context.graphs = false;  // Identity reads t on the host
  Identity network;
  SamplingOptions o;
  o.steps = 5;
  o.batch = 2;
  const int n = 3, image = 2 * 2;
  for (const double v : test::normal(n * image, 1)) o.x_T.push_back(float(v));
  for (const double v : test::normal(5 * n * image, 2)) o.z.push_back(float(v));
  int calls = 0;
  o.progress = [&](int done, int total) {
    EXPECT_EQ(done, ++calls);
    return total == 10;
  };
  const auto got = sample(context, network, d, n, 2, 2, 1, o);
  EXPECT_EQ(calls, 10);

  const auto times = sampling_times(12, 5);
  EXPECT_EQ(std::vector(network.times.begin(), network.times.begin() + 5), times);
  std::vector<double> want(o.x_T.begin(), o.x_T.end());
  for (std::size_t k = 0; k < 5; ++k) {
    const auto c = ddpm_step(s, d, times[k], k < 4 ? times[k + 1] : -1, -1, 1);
    for (std::size_t i = 0; i < want.size(); ++i)
      want[i] = (double(c.xt) + double(c.out)) * want[i] +
                double(c.sigma) * double(o.z[k * want.size() + i]);
  }
  test::expect_close(got, want, 1e-5, 1e-6, "chain");
}

TEST(Sampler, AnImageIsAFunctionOfSeedAndId) {
  const DiffusionConfig d{.steps = 6};
  const auto draw = [&](Network& network, int n, std::uint32_t first, int batch, double eta,
                        std::uint64_t seed = 3) {
    engine::Context context{test::device()};
    context.graphs = false;  // Identity reads t on the host
    SamplingOptions o;
    o.kind = SamplerKind::ddim;
    o.eta = eta;
    o.first_item = first;
    o.batch = batch;
    o.seed = seed;
    return sample(context, network, d, n, 4, 6, 3, o);
  };
  const std::size_t image = 4 * 6 * 3;
  const auto expect_same = [&](Network& network, double tolerance) {
    const auto all = draw(network, 5, 0, 64, 1), split = draw(network, 5, 0, 2, 1);
    test::expect_close(split, all, 0, tolerance, "batches of two");
    const std::vector<float> tail(all.begin() + 3 * image, all.end());
    test::expect_close(draw(network, 2, 3, 64, 1), tail, 0, tolerance, "images 3 and 4 alone");
    EXPECT_NE(draw(network, 5, 0, 64, 1, 4), all) << "another seed";
    EXPECT_NE(draw(network, 5, 0, 64, 0), all) << "no noise in the chain";
  };
  Identity identity;
  expect_same(identity, 0);
  engine::Context context{test::device()};
  context.graphs = false;  // Identity reads t on the host
  const auto network = ready(tiny(Family::ddpm), context, 1, false);
  expect_same(*network, 1e-4);  // a product may sum in another order for another batch
}

TEST(Sampler, StopsWhenProgressSaysSo) {
  engine::Context context{test::device()};
  context.graphs = false;  // Identity reads t on the host
  Identity network;
  SamplingOptions o;
  o.progress = [](int done, int) { return done < 3; };
  try {
    sample(context, network, {.steps = 10}, 1, 2, 2, 1, o);
    ADD_FAILURE() << "went on";
  } catch (const RunError& e) {
    EXPECT_STREQ(e.what(), "sampling stopped after 3 of 10 steps");
  }
  o.progress = nullptr;
  o.eta = 1.5;
  expect_input_error([&] { sample(context, network, {.steps = 10}, 1, 2, 2, 1, o); },
                     "eta: 1.5; in [0, 1]");
}

}  // namespace
}  // namespace haze::model
