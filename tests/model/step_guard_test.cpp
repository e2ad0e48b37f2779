// SPDX-License-Identifier: MIT
// step_guard_test.cpp — a step that goes wrong is kept from the network, also from within a captured
// graph; what is remembered of it is counted, limited and restored.
#include "model/step_guard.h"

#include <bit>
#include <cmath>
#include <limits>

#include "tests/model/networks.h"

namespace haze::model {
namespace {

using test::Given, test::Images, test::ready, test::tiny;

const DiffusionConfig kDiffusion{.steps = 100};
const double kNone = std::numeric_limits<double>::infinity();

TEST(StepGuard, TheLimitFollowsTheMedianOfTheLast51Norms) {
  StepGuard guard(3);
  for (int i = 0; i < 51; ++i) {
    EXPECT_EQ(guard.limit(), kNone) << i;
    EXPECT_EQ(guard.record(1, float(51 - i), true), Skip::no);
  }
  EXPECT_EQ(guard.limit(), 3 * 26);
  EXPECT_EQ(guard.record(1, 79, false), Skip::spike);
  EXPECT_EQ(guard.limit(), 3 * 26) << "51 has left, 79 has come: both above the median";
  // A lasting change of size is the measure after half a window, of spikes alone.
  for (int i = 0; i < 26; ++i) guard.record(1, 1000, false);
  EXPECT_EQ(guard.limit(), 3000);
  EXPECT_EQ(guard.skipped(), 27u);
  EXPECT_EQ(guard.in_a_row(), 0);
}

TEST(StepGuard, NormsThatAreNoneAndZerosMakeNoLimit) {
  StepGuard guard(2);
  for (int i = 0; i < 60; ++i) guard.record(1, 0, true);
  EXPECT_EQ(guard.limit(), kNone);
  for (int i = 0; i < 60; ++i) guard.record(1, NAN, false);
  EXPECT_EQ(guard.limit(), kNone);
  StepGuard off(0);
  for (int i = 0; i < 60; ++i) off.record(1, 1, true);
  EXPECT_EQ(off.limit(), kNone);
  EXPECT_TRUE(off.state().empty());
}

TEST(StepGuard, CountsInARowWhatIsNotFinite) {
  StepGuard guard(0);
  EXPECT_EQ(guard.record(NAN, 1, false), Skip::loss);
  EXPECT_EQ(guard.record(1, INFINITY, false), Skip::gradient);
  EXPECT_EQ(guard.record(1, 1e20f, false), Skip::gradient) << "cannot be squared";
  EXPECT_EQ(guard.in_a_row(), 3);
  guard.record(1, 1, true);
  EXPECT_EQ(guard.in_a_row(), 0);
  EXPECT_EQ(guard.skipped(), 3u);
}

TEST(StepGuard, GoesOnFromItsState) {
  StepGuard guard(2);
  for (int i = 0; i < 70; ++i) guard.record(i % 7 ? 1 : NAN, float(i % 10), i % 7 != 0);
  guard.record(NAN, NAN, false);
  guard.record(NAN, NAN, false);
  StepGuard other(2);
  other.restore(guard.state());
  EXPECT_EQ(other.limit(), guard.limit());
  EXPECT_EQ(other.skipped(), 12u);
  EXPECT_EQ(other.in_a_row(), 2);
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(other.limit(), guard.limit());
    guard.record(1, float(i * i), true), other.record(1, float(i * i), true);
  }
  // More skipped steps than a float counts.
  StepGuard many(0);
  many.restore({{"guard.skipped", {{3}, {7, 3, 0}}}});
  EXPECT_EQ(many.skipped(), 3 * (std::uint64_t{1} << 24) + 7);
  many.restore({});
  EXPECT_EQ(many.skipped(), 0u) << "none, as in a checkpoint without bad steps";
}

TEST(StepGuard, RefusesStatesOfNoGuard) {
  StepGuard guard(2);
  for (const std::vector<float>& bad :
       {std::vector<float>{1, 2}, {1, 0.5f, 0}, {-1, 0, 0}, {0, 0, NAN}})
    test::expect_input_error(
        [&] {
          guard.restore({{"guard.skipped", {{std::int64_t(bad.size())}, bad}}});
        },
        "guard.skipped");
  test::expect_input_error(
      [&] {
        guard.restore({{"guard.norms", {{52}, std::vector<float>(52, 1.0f)}}});
      },
      "guard.norms: 52 values; at most 51");
}

/// Everything that a step may change.
std::vector<std::vector<float>> state_of(const engine::Context& context,
                                         const engine::Parameters& p) {
  std::vector<std::vector<float>> state;
  for (const engine::Tensor& t : {p.weights, p.ema, p.adam_m, p.adam_v, p.weights_bf16})
    if (t) state.push_back(engine::download(context, t));
  return state;
}

const TrainConfig kTrain{.learning_rate = 1e-2, .accumulate = 2, .ema_decay = 0.5};

TEST(BadStep, ABatchWithANanChangesNoBitAndTheRestGoesOnAsIfItHadNotBeen) {
  for (const DType type : {DType::f32, DType::bf16}) {
    engine::Context context{test::device(), type};
    const auto network = ready(tiny(Family::labml), context, 1, true, true);
    const auto other = ready(tiny(Family::labml), context, 1, true, true);
    Trainer trainer(context, *network, kDiffusion, kTrain, 1);
    Trainer without(context, *other, kDiffusion, kTrain, 1);
    const Given good(3, 4, 6, 3, 100, 3);
    Given bad = good;
    bad.noise[7] = NAN;
    for (Trainer* t : {&trainer, &without})
      EXPECT_EQ(t->step(0, good.n, good.noising(context, *t)).skip, Skip::no);
    const auto before = state_of(context, network->parameters());
    EXPECT_EQ(before.size(), type == DType::bf16 ? 5u : 4u);
    const StepResult r = trainer.step(1, bad.n, bad.noising(context, trainer));
    EXPECT_EQ(r.skip, Skip::loss);
    EXPECT_FALSE(std::isfinite(r.loss));
    EXPECT_EQ(state_of(context, network->parameters()), before);
    EXPECT_EQ(trainer.guard().in_a_row(), 1);
    EXPECT_FALSE(trainer.nonfinite_gradients().empty());
    // A step has its number and the updates before it, whatever was skipped.
    EXPECT_EQ(trainer.step(2, good.n, good.noising(context, trainer)).skip, Skip::no);
    without.restore(trainer.state());
    without.step(2, good.n, good.noising(context, without));
    EXPECT_EQ(state_of(context, network->parameters()), state_of(context, other->parameters()));
    EXPECT_EQ(trainer.guard().skipped(), 1u);
  }
}

/// All state after seven steps on images, the fifth of which is left out or goes wrong.
std::vector<std::vector<float>> around_a_bad_step(DType type, bool graphs, bool left_out) {
  engine::Context context{test::device(), type};
  context.graphs = graphs;
  const auto network = ready(tiny(Family::labml), context, 1, true, true);
  engine::Parameters& p = network->parameters();
  Trainer trainer(context, *network, kDiffusion, kTrain, 7);
  const Images images(2, 4, 4, 3);
  trainer.use(images.set());
  for (std::uint32_t k = 0; k < 7; ++k) {
    if (k != 5) {
      EXPECT_EQ(trainer.step(k, images.index).skip, Skip::no) << k;
    } else if (left_out) {
      trainer.restore({{"guard.skipped", {{3}, {1, 0, 1}}}});
    } else {
      const float weight = test::at(p.weights, 3);
      test::set(p.weights, 3, NAN);
      p.refresh_bf16();
      const auto before = state_of(context, p);
      EXPECT_NE(trainer.step(k, images.index).skip, Skip::no);
      const auto after = state_of(context, p);
      for (std::size_t t = 0; t < after.size(); ++t)
        for (std::size_t i = 0; i < after[t].size(); ++i)
          EXPECT_EQ(std::bit_cast<std::uint32_t>(after[t][i]),
                    std::bit_cast<std::uint32_t>(before[t][i]));
      test::set(p.weights, 3, weight);
      p.refresh_bf16();
    }
  }
  return state_of(context, p);
}

// On CUDA the steps are captured by the fourth: the graph decides.
TEST(BadStep, ACapturedStepSkipsOnItsOwn) {
  for (const DType type : {DType::f32, DType::bf16}) {
    const auto want = around_a_bad_step(type, false, true);
    for (const bool graphs : {false, true})
      EXPECT_EQ(around_a_bad_step(type, graphs, false), want) << name_of(type) << graphs;
  }
}

TEST(BadStep, ASpikeIsSkippedOnTheDevice) {
  engine::Context context{test::device()};
  const auto network = ready(tiny(Family::labml), context, 1, true, true);
  TrainConfig config = kTrain;
  config.spike_factor = 2;
  Trainer trainer(context, *network, kDiffusion, config, 1);
  const Images images(2, 4, 4, 3);
  trainer.use(images.set());
  trainer.restore({{"guard.norms", {{51}, std::vector<float>(51, 1e-4f)}}});
  const auto before = state_of(context, network->parameters());
  const StepResult r = trainer.step(0, images.index);
  EXPECT_EQ(r.skip, Skip::spike);
  EXPECT_GT(double(r.grad_norm), r.limit);
  EXPECT_EQ(r.limit, 2 * double(1e-4f));
  EXPECT_EQ(state_of(context, network->parameters()), before);
  trainer.restore({{"guard.norms", {{51}, std::vector<float>(51, r.grad_norm)}}});
  EXPECT_EQ(trainer.step(0, images.index).skip, Skip::no);
  EXPECT_NE(state_of(context, network->parameters()), before);
}

}  // namespace
}  // namespace haze::model
