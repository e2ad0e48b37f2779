// SPDX-License-Identifier: MIT
// advice_test.cpp — what is said of configurations that run, but will not do what is hoped for.
#include "apps/advice.h"

#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using apps::Advice;
using model::Prediction;
using model::ScheduleKind;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

apps::RunConfig run(ScheduleKind schedule, Prediction prediction, bool clip) {
  apps::RunConfig c;
  c.diffusion.schedule = schedule;
  c.diffusion.prediction = prediction;
  c.diffusion.clip_x0 = clip;
  return c;
}

TEST(Advice, NamesAnUnclippedEpsWhereTheScheduleEndsInPureNoise) {
  const auto cosine = run(ScheduleKind::cosine, Prediction::eps, false);
  // sqrt((1 - ab)/ab) of the last of 1000 times, computed in Python.
  const auto line = AllOf(HasSubstr("clip_x0 false"), HasSubstr("counts 20291 times"));
  EXPECT_THAT(apps::advice_for_training(cosine), ElementsAre(line));
  EXPECT_THAT(apps::advice_for_sampling(cosine, 10, true), ElementsAre(line));
  for (const auto& quiet : {run(ScheduleKind::cosine, Prediction::eps, true),
                            run(ScheduleKind::cosine, Prediction::v, false),
                            run(ScheduleKind::cosine, Prediction::x0, false),
                            run(ScheduleKind::linear, Prediction::eps, false),
                            run(ScheduleKind::sigmoid, Prediction::eps, false)}) {
    EXPECT_THAT(apps::advice_for_training(quiet), IsEmpty());
    EXPECT_THAT(apps::advice_for_sampling(quiet, 10, true), IsEmpty());
  }
}

TEST(Advice, NamesAnAverageThatIsStillTheInitialWeights) {
  apps::RunConfig c;
  c.train.steps = 9999;
  c.train.ema_decay = 0.9999;  // 0.9999^9999 = 0.3679, 0.9999^10000 = 0.36786, 1/e = 0.36788
  EXPECT_THAT(apps::advice_for_training(c),
              ElementsAre(AllOf(HasSubstr("train.ema_decay 0.9999 "), HasSubstr("9999 steps: 37%"),
                                HasSubstr("train.ema_warmup"))));
  EXPECT_THAT(apps::advice_for_sampling(c, 20, true),
              ElementsAre(AllOf(HasSubstr("after 20 steps 100%"), HasSubstr("--weights raw"))));
  EXPECT_THAT(apps::advice_for_sampling(c, 20, false), IsEmpty());
  EXPECT_THAT(apps::advice_for_sampling(c, 10000, true), IsEmpty());
  c.train.ema_warmup = true;
  EXPECT_THAT(apps::advice_for_training(c), IsEmpty());
  EXPECT_THAT(apps::advice_for_sampling(c, 20, true), IsEmpty());
  c.train = {.batch_size = 10, .steps = 100, .ema_half_life = 1000};  // half after 100 steps
  EXPECT_THAT(
      apps::advice_for_training(c),
      ElementsAre(AllOf(HasSubstr("train.ema_half_life 1000 "), HasSubstr("100 steps: 50%"))));
  c.train.steps = 200;  // a quarter
  EXPECT_THAT(apps::advice_for_training(c), IsEmpty());
}

TEST(Advice, NamesTheJumpOfALearningRate) {
  apps::RunConfig before;
  before.train.lr_decay = model::LrDecay::cosine;
  before.train.steps = 20;
  before.train.learning_rate = 1e-3;
  apps::RunConfig now = before;
  EXPECT_THAT(apps::advice_for_resuming(before, now, 20), IsEmpty());
  now.train.steps = 40;
  // 1e-3·(1 + cos(19/20·pi))/2 = 6.156e-6; at half of the way, step 20 of 40, 5e-4.
  EXPECT_THAT(apps::advice_for_resuming(before, now, 20),
              ElementsAre(AllOf(HasSubstr("over 40 steps, not 20"),
                                HasSubstr("from 6.16e-06 to 0.0005 at step 20"))));
  EXPECT_THAT(apps::advice_for_resuming(before, now, 0), IsEmpty());
  before.train.lr_decay = now.train.lr_decay = model::LrDecay::none;
  EXPECT_THAT(apps::advice_for_resuming(before, now, 20), IsEmpty());
}

class AdviceOfARun : public TinyRun {};

TEST_F(AdviceOfARun, IsGivenWhenItStartsGoesOnAndIsSampledFrom) {
  const std::vector<std::string> keys = {"--set", "diffusion.schedule=cosine",
                                         "--set", "train.ema_decay=0.999",
                                         "--set", "train.lr_decay=cosine"};
  const auto prediction = HasSubstr("haze: warning: diffusion.prediction eps with diffusion.clip");
  const Outcome first = train("run", 4, keys);
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.err, AllOf(prediction, HasSubstr("warning: train.ema_decay 0.999 reaches"),
                               Not(HasSubstr("learning rate goes"))));
  std::vector<std::string> more = keys;
  more.push_back("--resume");
  const Outcome second = train("run", 8, more);
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_THAT(second.err, HasSubstr("warning: train.lr_decay cosine over 8 steps, not 4: the "
                                    "learning rate goes from 0.000146 to 0.0005 at step 4"));
  const auto sample = [&](const std::string& weights) {
    return haze({"sample", "--checkpoint", at("run"), "--n", "1", "--steps", "2", "--weights",
                 weights, "--out", at("x.png")});
  };
  EXPECT_THAT(sample("ema").err, AllOf(prediction, HasSubstr("warning: after 8 steps 99% of")));
  EXPECT_THAT(sample("raw").err, AllOf(prediction, Not(HasSubstr("after 8 steps"))));
  const Outcome plain = train("plain", 200, {"--dry-run"});
  EXPECT_THAT(plain.err, Not(HasSubstr("warning"))) << "nothing to say of a usual run";
}

}  // namespace
}  // namespace haze::test
