// SPDX-License-Identifier: MIT
// What training minimises, and how its times and averages are chosen.
#include <cmath>

#include "model/chain.h"
#include "model/parameterization.h"
#include "model/trainer.h"
#include "model/unet.h"
#include "tests/model/networks.h"

namespace haze::model {
namespace {

using test::Given, test::ready, test::tiny;

const DiffusionConfig kProcess{.steps = 20, .beta_end = 0.3};

/// The loss of a batch by the formulas, in double, from the network's output.
double loss_of(engine::Context& context, Network& network, const Given& g, Prediction prediction,
               double gamma) {
  const Schedule s = make_schedule(kProcess);
  const auto image = std::size_t(g.h * g.w * g.c);
  std::vector<float> x_t;
  for (std::size_t i = 0; i < g.x0.size(); ++i) {
    const double ab = s.alpha_bar_at(g.t[i / image]);
    x_t.push_back(float(std::sqrt(ab) * double(g.x0[i]) + std::sqrt(1 - ab) * double(g.noise[i])));
  }
  engine::Tape tape(context, false);
  const auto x = tape.leaf(engine::upload(context, {g.n, g.h, g.w, g.c}, x_t));
  const auto t = engine::upload(context, {g.n}, g.t);
  const auto out =
      engine::download(context, tape.value(network.forward(tape, {x, t, {}}, nullptr)));
  double sum = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double ab = s.alpha_bar_at(g.t[i / image]), snr = ab / (1 - ab);
    const double x0 = double(g.x0[i]), eps = double(g.noise[i]);
    const double limited = gamma > 0 ? std::min(snr, gamma) : 0;
    double want = eps, weight = gamma > 0 ? limited / snr : 1;
    if (prediction == Prediction::x0) want = x0, weight = gamma > 0 ? limited : 1;
    if (prediction == Prediction::v) {
      want = std::sqrt(ab) * eps - std::sqrt(1 - ab) * x0;
      weight = gamma > 0 ? limited / (snr + 1) : 1;
    }
    sum += weight * (double(out[i]) - want) * (double(out[i]) - want);
  }
  return sum / double(out.size());
}

TEST(Objective, IsTheFormulaOfEachPrediction) {
  for (const auto prediction : {Prediction::eps, Prediction::x0, Prediction::v})
    for (const double gamma : {0.0, 2.0}) {
      engine::Context context{test::device()};
      const auto network = ready(tiny(Family::ddpm), context);
      const Given g(3, 4, 6, 3, kProcess.steps, 5);
      DiffusionConfig diffusion = kProcess;
      diffusion.prediction = prediction;
      TrainConfig train;
      if (gamma > 0) train.loss_weight = LossWeight::min_snr, train.min_snr_gamma = gamma;
      Trainer trainer(context, *network, diffusion, train, 1);
      const double want = loss_of(context, *network, g, prediction, gamma);
      // Both see the same output up to the rounding of x_t,
      // 2^-24 of it, through a network of gain about one.
      EXPECT_NEAR(double(g.loss_and_gradients(context, trainer)), want, 1e-5 * want)
          << int(prediction) << ' ' << gamma;
    }
}

TEST(Objective, AddsTheBoundOfALearnedVariance) {
  engine::Context context{test::device()};
  NetworkConfig config = tiny(Family::ddpm);
  config.learned_variance = true;
  const auto network = ready(config, context);
  DiffusionConfig diffusion = kProcess;
  diffusion.variance = Variance::learned;
  Given g(3, 4, 6, 3, kProcess.steps, 5);
  g.t = {1, 7, 19};  // the likelihood at t = 0 is the kernel's test
  const Schedule s = make_schedule(diffusion);
  const auto image = std::size_t(4 * 6 * 3);
  const auto noised = [&](std::size_t i) {
    const double ab = s.alpha_bar_at(g.t[i / image]);
    return std::sqrt(ab) * double(g.x0[i]) + std::sqrt(1 - ab) * double(g.noise[i]);
  };
  std::vector<float> x_t;
  for (std::size_t i = 0; i < g.x0.size(); ++i) x_t.push_back(float(noised(i)));
  engine::Tape tape(context, false);
  const auto t = engine::upload(context, {3}, g.t);
  const auto out = engine::download(
      context, tape.value(network->forward(
                   tape, {tape.leaf(engine::upload(context, {3, 4, 6, 3}, x_t)), t, {}}, nullptr)));
  double simple = 0, bound = 0;
  for (std::size_t i = 0; i < g.x0.size(); ++i) {
    const int at = g.t[i / image];
    const double ab = s.alpha_bar_at(at), before = s.alpha_bar_at(at - 1);
    const double beta = s.beta[std::size_t(at)], tilde = beta * (1 - before) / (1 - ab);
    const std::size_t o = i / 3 * 6 + i % 3;
    const double eps = double(out[o]), f = (double(out[o + 3]) + 1) / 2;
    const double log_variance = f * std::log(beta) + (1 - f) * std::log(tilde);
    const double x0 = (noised(i) - std::sqrt(1 - ab) * eps) / std::sqrt(ab);
    const double means = std::sqrt(before) * beta / (1 - ab) * (double(g.x0[i]) - x0);
    simple += (eps - double(g.noise[i])) * (eps - double(g.noise[i]));
    bound +=
        (log_variance - std::log(tilde) - 1 + (tilde + means * means) * std::exp(-log_variance)) /
        2;
  }
  const auto size = double(g.x0.size());
  for (const double weight : {0.0, 0.001, 0.5}) {
    TrainConfig train;
    train.vlb_weight = weight;
    Trainer trainer(context, *network, diffusion, train, 1);
    const double want = simple / size + weight * kProcess.steps * bound / std::log(2.0) / size;
    // As above; the bound's prediction of x0 adds some 2^-22 of 1/sqrt(alpha_bar).
    EXPECT_NEAR(double(g.loss_and_gradients(context, trainer)), want, 3e-5 * want) << weight;
  }
}

TEST(Objective, PredictedImageIsTheOneOfTheSampler) {
  engine::Context context{test::device()};
  for (const auto prediction : {Prediction::eps, Prediction::x0, Prediction::v}) {
    DiffusionConfig diffusion = kProcess;
    diffusion.prediction = prediction;
    const Schedule s = make_schedule(diffusion);
    const Objective objective(context, diffusion, s, {}, 3);
    const Given g(3, 2, 2, 3, kProcess.steps, 8);
    engine::Tape tape(context, false);
    const engine::Shape shape{3, 2, 2, 3};
    const NoisedBatch batch{
        engine::upload(context, shape, g.x0), engine::upload(context, {3}, g.t), {}, {}, {}};
    const auto got = engine::download(
        context, objective.predicted_x0(context, batch, engine::upload(context, shape, g.noise)));
    std::vector<double> want;
    for (std::size_t i = 0; i < g.x0.size(); ++i) {
      const auto c = ddim_step(s, diffusion, 0, g.t[i / 12], -1, -1, 1);  // straight to the image
      want.push_back(double(c.xt) * double(g.x0[i]) + double(c.out) * double(g.noise[i]));
    }
    test::expect_close(got, want, 1e-6, 1e-6, cat("prediction ", int(prediction)));
  }
}

TEST(EmaDecay, OfEachKind) {
  engine::Context context{test::device()};
  const auto network = ready(tiny(Family::labml), context);
  const auto decay = [&](const TrainConfig& train, std::uint32_t step) {
    return Trainer(context, *network, kProcess, train, 1).ema_decay(step, 50);
  };
  EXPECT_EQ(decay({}, 3), 0);
  EXPECT_EQ(decay({.ema_decay = 0.9}, 0), 0.9);
  EXPECT_NEAR(decay({.ema_decay = 0.9, .ema_warmup = true}, 0), 0.1, 1e-12);
  EXPECT_NEAR(decay({.ema_decay = 0.9, .ema_warmup = true}, 20), 0.7, 1e-12);
  EXPECT_EQ(decay({.ema_decay = 0.9, .ema_warmup = true}, 1000), 0.9);
  // Half is forgotten after 500 images, which are ten steps of fifty.
  EXPECT_NEAR(std::pow(decay({.ema_half_life = 500}, 7), 10), 0.5, 1e-12);
  // After 20 steps, 1000 images, the half-life is 50 of them: one step.
  EXPECT_NEAR(decay({.ema_half_life = 500, .ema_warmup = true}, 19), 0.5, 1e-12);
  EXPECT_EQ(decay({.ema_half_life = 500, .ema_warmup = true}, 100000),
            decay({.ema_half_life = 500}, 0));
}

TEST(ImportanceTimes, AreUniformUntilAllAreKnownThenFollowTheLosses) {
  const int T = 4;
  ImportanceTimes times(T);
  const auto record = [&](int t, float loss) {
    times.record(std::vector<std::int32_t>{t}, std::vector<float>{loss});
  };
  for (int k = 0; k < ImportanceTimes::kKept; ++k)
    for (int t = 0; t < T; ++t)
      if (t != 2 || k > 0) record(t, float(t));
  for (const double w : times.weights()) EXPECT_EQ(w, 1);  // t = 2 has nine only
  record(2, NAN);
  EXPECT_EQ(times.weights()[0], 1);
  record(2, 2);
  const auto w = times.weights();
  const double share[] = {0, 1 / 6.0, 2 / 6.0, 3 / 6.0};
  std::vector<double> p;
  for (int t = 0; t < T; ++t) p.push_back(0.999 * share[t] + 0.001 / T);
  for (int t = 0; t < T; ++t) EXPECT_NEAR(w[std::size_t(t)] * T * p[std::size_t(t)], 1, 1e-12);
  const int n = 20000;
  std::vector<int> counts(T);
  for (const int t : times.draw(1, 7, n)) ++counts[std::size_t(t)];
  for (int t = 0; t < T; ++t) {
    const double q = p[std::size_t(t)];
    // Five standard deviations of a binomial count.
    EXPECT_NEAR(counts[std::size_t(t)], n * q, 5 * std::sqrt(n * q * (1 - q)) + 1) << t;
  }
  EXPECT_NE(times.draw(1, 8, 50), times.draw(1, 7, 50));
  ImportanceTimes again(T);
  again.restore(times.state());
  EXPECT_EQ(again.weights(), w);
  EXPECT_EQ(again.draw(1, 7, 50), times.draw(1, 7, 50));
  test::expect_input_error([&] { ImportanceTimes(3).restore(times.state()); },
                           "times.losses: of another size");
}

/// A U-Net that notes the times it is called with.
struct Watched : UNet {
  using UNet::UNet;
  std::vector<std::vector<std::int32_t>> times;
  engine::Var forward(engine::Tape& tape, const NetworkInput& in,
                      const TrainingRandom* random) override {
    times.push_back(test::read<std::int32_t>(in.t));
    return UNet::forward(tape, in, random);
  }
};

struct Record {
  std::vector<std::vector<std::int32_t>> times;  // per call of the network
  std::vector<float> losses;
};
Record run(const TrainConfig& train, bool self_condition, int steps,
           Variance variance = Variance::beta) {
  engine::Context context{test::device()};
  context.graphs = false;  // the times are read on the host
  NetworkConfig config = tiny(Family::ddpm);
  config.self_condition = self_condition;
  config.learned_variance = variance == Variance::learned;
  DiffusionConfig diffusion = kProcess;
  diffusion.variance = variance;
  Watched network(config);
  network.parameters().allocate(context.stream, 1, true, false, DType::f32);
  const auto images = test::rectangles(6, 4, 4, 3);
  const std::vector<std::int32_t> index = {0, 1, 2, 3, 4, 5};
  Trainer trainer(context, network, diffusion, train, 9);
  trainer.use({.height = 4, .width = 4, .channels = 3, .images = images});
  Record result;
  for (int k = 0; k < steps; ++k)
    result.losses.push_back(trainer.step(std::uint32_t(k), index).loss);
  result.times = network.times;
  return result;
}

TEST(Timesteps, AntitheticOnesMirrorEachOther) {
  // In three parts of two, and in one: pairs belong to the whole batch.
  for (const int parts : {1, 3}) {
    const Record got = run({.accumulate = parts, .timesteps = Timesteps::antithetic}, false, 2);
    for (const auto& t : got.times)
      for (std::size_t i = 0; i < t.size(); i += 2) EXPECT_EQ(t[i] + t[i + 1], kProcess.steps - 1);
  }
  const Record plain = run({}, false, 2);
  EXPECT_NE(plain.times[0][0] + plain.times[0][1], kProcess.steps - 1);
}

TEST(Timesteps, ImportanceTrainsOnTheTimesItDraws) {
  const Record got = run({.timesteps = Timesteps::importance}, false, 3);
  const ImportanceTimes fresh(kProcess.steps);
  for (std::uint32_t k = 0; k < 3; ++k) EXPECT_EQ(got.times[k], fresh.draw(9, k, 6));
}

TEST(Timesteps, OfEveryKindTrainALearnedVariance) {
  for (const auto& [kind, parts] :
       {std::pair{Timesteps::uniform, 2}, {Timesteps::antithetic, 1}, {Timesteps::importance, 1}}) {
    const auto losses =
        run({.accumulate = parts, .timesteps = kind}, false, 2, Variance::learned).losses;
    for (const float loss : losses) EXPECT_TRUE(std::isfinite(loss)) << int(kind);
  }
}

TEST(SelfConditioning, CallsTheNetworkTwiceInHalfOfTheSteps) {
  const int steps = 24;
  const Record got = run({}, true, steps);
  // Between 24 and 48 calls; a fair coin's 24 throws are 12 ± 12 with a chance of 1e-7 outside.
  EXPECT_GT(got.times.size(), steps + 3u);
  EXPECT_LT(got.times.size(), 2 * steps - 3u);
  for (const float loss : got.losses) EXPECT_TRUE(std::isfinite(loss));
}

}  // namespace
}  // namespace haze::model
