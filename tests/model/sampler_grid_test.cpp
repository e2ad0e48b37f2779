// SPDX-License-Identifier: MIT
// sampler_grid_test.cpp — every sampler, schedule, prediction and length of chain with the best
// denoiser there is in the network's place: the posterior mean of a mixture of four Gaussians, in
// closed form. Whatever is wrong with the points that come out is the sampler's doing.
#include <array>
#include <cmath>
#include <numeric>

#include "model/sampler.h"
#include "tests/model/networks.h"
#include "tests/support/device.h"

namespace haze::model {
namespace {

constexpr std::size_t kModes = 4;
constexpr double kMode[kModes][2] = {{-0.8, -0.8}, {-0.8, 0.5}, {0.3, 0.9}, {0.9, -0.2}};
constexpr double kWeight[kModes] = {0.4, 0.3, 0.2, 0.1};
constexpr double kWidth = 0.05;              // standard deviation of each mode
constexpr double kReach = 0.9 + 4 * kWidth;  // no value of the data is larger
constexpr int kSamples = 200;

double square(double x) { return x * x; }
double distance(const float* a, double x, double y) { return std::hypot(a[0] - x, a[1] - y); }

/// The posterior mean of x0 given x_t, spelled as `prediction` asks. And how far its inputs are
/// from what it would be trained on: the largest (|x| - s·z)/(a·reach), z the largest noise drawn.
class Mixture : public Network {
 public:
  Mixture(engine::Context& context, const DiffusionConfig& diffusion)
      : context_(context), prediction_(diffusion.prediction), schedule_(make_schedule(diffusion)) {}

  engine::Var forward(engine::Tape& tape, const NetworkInput& in, const TrainingRandom*) override {
    const auto x = test::read(tape.value(in.x));
    const double ab = schedule_.alpha_bar_at(test::read<std::int32_t>(in.t)[0]);
    const double a = std::sqrt(ab), s = std::sqrt(1 - ab), spread = ab * square(kWidth) + s * s;
    std::vector<float> out(x.size());
    for (std::size_t i = 0; i < x.size(); i += 2) {
      double log_weight[kModes], most = -HUGE_VAL, sum = 0, x0[2] = {};
      for (std::size_t k = 0; k < kModes; ++k) {
        const double d = distance(&x[i], a * kMode[k][0], a * kMode[k][1]);
        log_weight[k] = std::log(kWeight[k]) - d * d / (2 * spread);
        most = std::max(most, log_weight[k]);
      }
      for (std::size_t k = 0; k < kModes; ++k) {
        const double weight = std::exp(log_weight[k] - most);
        sum += weight;
        for (const std::size_t d : {0, 1})
          x0[d] += weight * (kMode[k][d] +
                             a * square(kWidth) / spread * (double(x[i + d]) - a * kMode[k][d]));
      }
      for (const std::size_t d : {0, 1}) {
        const double value = double(x[i + d]), mean = x0[d] / sum, eps = (value - a * mean) / s;
        farthest = std::max(farthest, (std::abs(value) - s * kNoise) / (a * kReach));
        out[i + d] = float(prediction_ == Prediction::eps  ? eps
                           : prediction_ == Prediction::x0 ? mean
                                                           : a * eps - s * mean);
      }
    }
    return tape.leaf(engine::upload(context_, tape.value(in.x).shape, out));
  }

  /// Of all chains together less than 2e6 normals are drawn; beyond 5.5 lie 4e-8 of them.
  static constexpr double kNoise = 5.5;
  double farthest = -HUGE_VAL;

 private:
  engine::Context& context_;
  Prediction prediction_;
  Schedule schedule_;
};

/// The energy distance (Székely & Rizzo 2013) of two sets of points. Of two sets of 200 from one
/// distribution it is (1/200 + 1/200) times the mean distance on average, here 0.011.
double energy(const std::vector<float>& a, const std::vector<float>& b) {
  const auto mean = [](const std::vector<float>& p, const std::vector<float>& q) {
    double sum = 0;
    for (std::size_t i = 0; i < p.size(); i += 2)
      for (std::size_t k = 0; k < q.size(); k += 2)
        sum += distance(&p[i], double(q[k]), double(q[k + 1]));
    return sum / (double(p.size()) / 2 * double(q.size()) / 2);
  };
  return 2 * mean(a, b) - mean(a, a) - mean(b, b);
}

/// kSamples points of the mixture, each mode with its exact share.
std::vector<float> data() {
  const auto normal = test::normal(2 * kSamples, 17);
  std::vector<float> points;
  for (std::size_t k = 0; k < kModes; ++k)
    for (int i = 0; i < int(kWeight[k] * kSamples + 0.5); ++i)
      for (const std::size_t d : {0, 1})
        points.push_back(float(kMode[k][d] + kWidth * normal[points.size()]));
  return points;
}

struct Method {
  const char* name;
  SamplerKind kind;
  double eta = 0;
  Variance variance = Variance::beta;
};
constexpr Method kSolver{"dpmpp", SamplerKind::dpmpp};
constexpr Method kMethods[] = {{"ddpm", SamplerKind::ddpm},
                               {"ddpm, beta_tilde", SamplerKind::ddpm, 0, Variance::beta_tilde},
                               {"ddim", SamplerKind::ddim},
                               {"ddim, eta 1", SamplerKind::ddim, 1},
                               {"heun", SamplerKind::heun}};

class SamplerGrid : public testing::TestWithParam<ScheduleKind> {
 protected:
  struct Result {
    std::vector<float> points;
    double energy, farthest;
  };
  Result draw(const Method& m, DiffusionConfig diffusion, int steps, Spacing spacing) {
    engine::Context context{test::device()};
    context.graphs = false;  // the denoiser computes on the host
    diffusion.variance = m.variance;
    Mixture network(context, diffusion);
    SamplingOptions o;
    o.kind = m.kind, o.eta = m.eta, o.steps = steps, o.spacing = spacing;
    o.seed = 5, o.batch = kSamples;
    Result r{sample(context, network, diffusion, kSamples, 1, 1, 2, o), 0, network.farthest};
    r.energy = energy(r.points, data_);
    return r;
  }

  /// A chain of T steps that ends in noise, whatever T is.
  static DiffusionConfig process(int T, Prediction prediction, bool clip) {
    const double scale = 1000.0 / T;
    return {.steps = T,
            .schedule = GetParam(),
            .beta_start = std::min(1e-4 * scale, 0.01),
            .beta_end = std::min(0.02 * scale, 0.9),
            .prediction = prediction,
            .clip_x0 = clip,
            .start = Start::schedule};
  }

  void expect_as_good_as_the_solver(int T, int steps, Prediction prediction, bool clip,
                                    Spacing spacing) {
    const DiffusionConfig diffusion = process(T, prediction, clip);
    const Result solver = draw(kSolver, diffusion, steps, spacing);
    EXPECT_LE(solver.farthest, 1.5);
    for (const Method& m : kMethods) {
      SCOPED_TRACE(cat(m.name, ", ", steps, " of ", T, " steps, prediction ", int(prediction),
                       ", clip ", clip, ", spacing ", int(spacing)));
      const Result r = draw(m, diffusion, steps, spacing);
      // First-order methods have up to twice the error of the solver of second order, and 0.05 is
      // five times what sampling alone makes. Below five steps no method shows its order: they may
      // end at the mean of the data (0.65), not outside.
      EXPECT_LE(r.energy, steps < 5 ? 0.8 : 2 * solver.energy + 0.05)
          << "the solver's " << solver.energy;
      // ddpm with sigma² = beta adds more noise than the next step's level has.
      for (const float x : r.points) ASSERT_LE(std::abs(x), 3 * kReach);
      if (m.kind != SamplerKind::ddpm || m.variance != Variance::beta) {
        EXPECT_LE(r.farthest, 1.5) << "the network is asked about what it never saw";
      }
      if (steps >= 50) expect_shares(r.points);
    }
  }

  /// Each mode has its share: binomial within 4 standard deviations and the solvers' own 0.03.
  static void expect_shares(const std::vector<float>& points) {
    double count[kModes] = {};
    for (std::size_t i = 0; i < points.size(); i += 2) {
      std::array<double, kModes> d;
      for (std::size_t k = 0; k < kModes; ++k)
        d[k] = distance(&points[i], kMode[k][0], kMode[k][1]);
      ++count[std::min_element(d.begin(), d.end()) - d.begin()];
    }
    for (std::size_t k = 0; k < kModes; ++k)
      EXPECT_NEAR(count[k] / kSamples, kWeight[k],
                  4 * std::sqrt(kWeight[k] * (1 - kWeight[k]) / kSamples) + 0.03)
          << "mode " << k;
  }

  const std::vector<float> data_ = data();
};

constexpr Prediction kPredictions[] = {Prediction::eps, Prediction::x0, Prediction::v};

TEST_P(SamplerGrid, EverySamplerIsAsGoodAsTheSolver) {
  for (const Prediction prediction : kPredictions)
    for (const bool clip : {false, true})
      for (const int steps : {5, 10, 20, 50})
        expect_as_good_as_the_solver(1000, steps, prediction, clip, Spacing::linspace);
}

TEST_P(SamplerGrid, AlsoInShortProcessesAndEverySpacing) {
  for (const int T : {1, 7, 50})
    for (const int steps : {1, 2, 3, 5, 7, 20, 50})
      for (const Spacing spacing : {Spacing::linspace, Spacing::leading, Spacing::trailing})
        if (steps <= T && !(steps == 1 && T > 1 && spacing == Spacing::leading)) {
          SCOPED_TRACE(T);
          expect_as_good_as_the_solver(T, steps, Prediction::v, false, spacing);
        }
}

/// Whether a step's two calls count alike, as in Karras et al., algorithm 1.
bool is_karras(const Chain& chain, std::size_t k) {
  return chain.steps[2 * k].c.keep_out == chain.steps[2 * k + 1].c.out;
}

TEST(Heun, IsKarrasWhereStepsAreShortOrNoiseIsSmall) {
  for (const Spacing spacing : {Spacing::linspace, Spacing::leading, Spacing::trailing})
    for (int steps = 8; steps <= 1000; steps = steps * 9 / 8 + 1) {
      ChainOptions o;
      o.kind = SamplerKind::heun, o.spacing = spacing, o.steps = steps;
      const Chain linear = make_chain({}, o),
                  cosine = make_chain({.schedule = ScheduleKind::cosine}, o);
      for (std::size_t k = 0; k + 1 < std::size_t(steps); ++k)
        ASSERT_TRUE(is_karras(linear, k)) << "step " << k << " of " << steps;
      if (spacing != Spacing::leading) {
        EXPECT_FALSE(is_karras(cosine, 0)) << steps;
      }
    }
}

constexpr std::array kNames = {"Linear", "Cosine", "Sigmoid", "SigmoidAlphaBar"};
INSTANTIATE_TEST_SUITE_P(Schedules, SamplerGrid,
                         testing::Values(ScheduleKind::linear, ScheduleKind::cosine,
                                         ScheduleKind::sigmoid, ScheduleKind::sigmoid_alpha_bar),
                         [](const auto& at) { return std::string(kNames[std::size_t(at.param)]); });

}  // namespace
}  // namespace haze::model
