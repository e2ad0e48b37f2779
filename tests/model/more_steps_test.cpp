// SPDX-License-Identifier: MIT
// more_steps_test.cpp — a chain of more steps ends nearer to the data, never farther from it. The
// network's part is taken by the best denoiser there is for a finite set of points, so that what is
// left is the samplers' own error. The process is that of the S-curve's configuration, which ends
// while the points can still be told from noise.
#include <numbers>

#include "model/sampler.h"
#include "tests/model/networks.h"
#include "tests/support/device.h"

namespace haze::model {
namespace {

const DiffusionConfig kProcess{.steps = 100,
                               .schedule = ScheduleKind::sigmoid,
                               .beta_start = 1e-5,
                               .beta_end = 5e-3,
                               .start = Start::schedule};

/// Points along scikit-learn's S-curve, a tenth of its size.
std::vector<float> curve(int n) {
  std::vector<float> points;
  for (int i = 0; i < n; ++i) {
    const double t = 3 * std::numbers::pi * ((i + 0.5) / n - 0.5);
    points.push_back(float(std::sin(t) / 10));
    points.push_back(float(std::copysign(1.0, t) * (std::cos(t) - 1) / 10));
  }
  return points;
}

double squared_distance(const float* a, const float* b, double scale = 1) {
  const double x = a[0] - scale * b[0], y = a[1] - scale * b[1];
  return x * x + y * y;
}

/// eps = (x - sqrt(ab)·E[x0 | x])/sqrt(1 - ab), where x0 is any of the points with equal right.
class BestDenoiser : public Network {
 public:
  BestDenoiser(engine::Context& context, std::vector<float> points)
      : context_(context), points_(std::move(points)) {}
  engine::Var forward(engine::Tape& tape, const NetworkInput& in, const TrainingRandom*) override {
    const auto x = test::read(tape.value(in.x));
    const double ab = schedule_.alpha_bar_at(test::read<std::int32_t>(in.t)[0]);
    const double signal = std::sqrt(ab), noise = std::sqrt(1 - ab);
    std::vector<float> eps(x.size());
    std::vector<double> log_weight(points_.size() / 2);
    for (std::size_t i = 0; i < x.size(); i += 2) {
      for (std::size_t k = 0; k < log_weight.size(); ++k)
        log_weight[k] = -squared_distance(&x[i], &points_[2 * k], signal) / (2 * noise * noise);
      const double most = *std::ranges::max_element(log_weight);
      double sum = 0, mean[2] = {};
      for (std::size_t k = 0; k < log_weight.size(); ++k) {
        const double weight = std::exp(log_weight[k] - most);
        sum += weight;
        for (std::size_t d : {0, 1}) mean[d] += weight * points_[2 * k + d];
      }
      for (std::size_t d : {0, 1}) eps[i + d] = float((x[i + d] - signal * mean[d] / sum) / noise);
    }
    return tape.leaf(engine::upload(context_, tape.value(in.x).shape, eps));
  }

 private:
  engine::Context& context_;
  std::vector<float> points_;
  Schedule schedule_ = make_schedule(kProcess);
};

/// Mean and standard error of the samples' distance to the nearest of the points.
struct Distance {
  double mean, error;
};
Distance distance(const std::vector<float>& samples, const std::vector<float>& points) {
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < samples.size(); i += 2) {
    double nearest = HUGE_VAL;
    for (std::size_t k = 0; k < points.size(); k += 2)
      nearest = std::min(nearest, squared_distance(&samples[i], &points[k]));
    sum += std::sqrt(nearest), squares += nearest;
  }
  const double n = double(samples.size()) / 2, mean = sum / n;
  return {mean, std::sqrt((squares / n - mean * mean) / n)};
}

class MoreSteps : public testing::TestWithParam<SamplerKind> {
 protected:
  std::vector<float> draw(int steps) {
    SamplingOptions o;
    o.kind = GetParam();
    o.steps = steps;
    o.seed = 5;
    o.batch = kSamples;
    return sample(context_, network_, kProcess, kSamples, 1, 1, 2, o);
  }
  static constexpr int kSamples = 300;
  const std::vector<float> points_ = curve(200);
  engine::Context context_{test::device()};
  BestDenoiser network_{context_, points_};
};

// All chains start from the same noise, so what differs between two of them is the samplers' error
// and, for DDPM, its noise: four standard errors of both are allowed for (1 in 30,000).
TEST_P(MoreSteps, AreNeverWorse) {
  context_.graphs = false;  // the denoiser computes on the host
  Distance before{HUGE_VAL, 0};
  for (const int steps : {5, 10, 20, 50, 100}) {
    const Distance now = distance(draw(steps), points_);
    EXPECT_LE(now.mean, before.mean + 4 * std::hypot(now.error, before.error)) << steps;
    before = now;
  }
  EXPECT_LT(before.mean, 0.002);  // half of the way from one point to the next: 0.0022
}

constexpr std::array kNames = {"Ddpm", "Ddim", "Dpmpp", "Heun"};
INSTANTIATE_TEST_SUITE_P(Samplers, MoreSteps,
                         testing::Values(SamplerKind::ddpm, SamplerKind::ddim, SamplerKind::dpmpp,
                                         SamplerKind::heun),
                         [](const auto& at) { return std::string(kNames[std::size_t(at.param)]); });

TEST(Start, HasTheSpreadThatTheScheduleEndsWith) {
  engine::Context context{test::device()};
  BestDenoiser network(context, curve(3));
  const auto start = [&](Start kind, const std::vector<float>& given) {
    DiffusionConfig process = kProcess;
    process.start = kind;
    SamplingOptions o;
    o.x_T = given;
    Chain chain = make_chain(process, o);
    chain.steps.clear();
    return run_chain(context, network, chain, 7, 1, 1, 2, o);
  };
  const auto unit = start(Start::unit, {}), scaled = start(Start::schedule, {});
  const double std = std::sqrt(1 - make_schedule(kProcess).alpha_bar.back());
  EXPECT_NEAR(std, 0.47, 0.01);
  for (std::size_t i = 0; i < unit.size(); ++i)
    EXPECT_FLOAT_EQ(scaled[i], float(std) * unit[i]) << i;
  EXPECT_EQ(start(Start::schedule, unit), unit) << "a given start is taken as it is";
}

}  // namespace
}  // namespace haze::model
