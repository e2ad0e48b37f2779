// SPDX-License-Identifier: MIT
// bad_steps_test.cpp — `haze train` where steps go wrong: they are skipped, counted and logged, end
// the run when nothing else comes, and can be run again.
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/files/checkpoint.h"
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class BadSteps : public TinyRun {
 protected:
  std::vector<json> rows(const std::string& run) const {
    std::vector<json> all;
    for (const std::string& line : lines(contents(at(run + "/metrics.jsonl"))))
      all.push_back(json::parse(line));
    return all;
  }
};

const std::vector<std::string> kLost = {
    "--set", "train.learning_rate=1000000", "--set", "train.grad_clip=0",
    "--set", "train.checkpoint_every=1",    "--set", "train.keep_checkpoints=100",
    "--set", "train.log_every=1000"};

TEST_F(BadSteps, ThreeInARowEndTheRunWithTheLastGoodCheckpoint) {
  const Outcome got = train("run", 50, kLost);
  ASSERT_EQ(got.code, 1) << got.err;
  const auto all = rows("run");
  ASSERT_GE(all.size(), 3u);
  const int step = all.back()["step"];
  for (int k = 0; k < 3; ++k) {  // the last three, though log_every is 1000
    const json& row = all[all.size() - 3 + std::size_t(k)];
    EXPECT_EQ(row["step"], step - 2 + k);
    EXPECT_FALSE(row["nonfinite"].empty());
    EXPECT_THAT(row["skipped"].get<std::string>(), testing::AnyOf("loss", "gradient"));
    EXPECT_GT(row["bad_parameters"], 0);
    EXPECT_EQ(row["skipped_steps"], int(all.size()) - 2 + k);
    EXPECT_THAT(got.err, HasSubstr(row["parameter"].get<std::string>()));
  }
  ASSERT_GT(step, 3);
  EXPECT_THAT(got.err,
              HasSubstr("haze: warning: step " + std::to_string(step - 1) + " is skipped: the "));
  EXPECT_THAT(got.last_error_line(),
              AllOf(HasSubstr("step " + std::to_string(step) + ": "),
                    HasSubstr("not a finite number"), HasSubstr("2 steps before"),
                    HasSubstr("the last good checkpoint is " + checkpoint("run", step - 3)),
                    HasSubstr("train.learning_rate")));
  // Nothing is saved while nothing is learned, and what was saved is finite.
  for (int k = 0; k < 3; ++k) EXPECT_FALSE(fs::exists(checkpoint("run", step - k)));
  for (const auto& t : engine::load_checkpoint(engine::disk(), checkpoint("run", step - 3)).tensors)
    for (const float x : t.values) ASSERT_TRUE(std::isfinite(x)) << t.name;
  EXPECT_EQ(json::parse(contents(at("run/run.json")))["exit"], 1);
}

TEST_F(BadSteps, TheLastOneCanBeRunAgain) {
  const Outcome got = train("run", 50, kLost);
  ASSERT_EQ(got.code, 1) << got.err;
  const json row = rows("run").back();
  char name[40];
  std::snprintf(name, sizeof name, "run/bad-step-%08d", row["step"].get<int>());
  EXPECT_THAT(got.last_error_line(),
              HasSubstr("to run the step again: haze train --resume --out " + at(name)));
  const json kept = json::parse(contents(at(name) + "/bad-step.json"));
  EXPECT_EQ(kept["step"], row["step"]);
  EXPECT_EQ(kept["seed"], 0);
  EXPECT_EQ(kept["images"].size(), 4u);
  for (const int image : kept["images"]) EXPECT_TRUE(image >= 0 && image < 64) << image;
  EXPECT_EQ(kept["skipped"], row["skipped"]);
  EXPECT_EQ(kept["config"], json::parse(contents(at("run/config.json"))));

  // The state before it is that of the last good step, to the bit.
  const auto state = [](const std::string& path) {
    std::vector<std::vector<float>> all;
    for (const char* part : {"model.", "ema.", "adam_m.", "adam_v."})
      for (const auto& t : engine::load_checkpoint(engine::disk(), path, part).tensors)
        all.push_back(t.values);
    return all;
  };
  const int step = row["step"];
  EXPECT_EQ(state(checkpoint(name, step - 1)), state(checkpoint("run", step - 3)));

  const Outcome again = haze({"train", "--resume", "--out", at(name)});
  EXPECT_EQ(again.code, 1) << again.err;
  const auto repeated = rows(name);
  ASSERT_EQ(repeated.size(), 1u) << "the very step";
  for (const char* key :
       {"step", "loss", "grad_norm", "skipped", "parameter", "bad_parameters", "skipped_steps"})
    EXPECT_EQ(repeated[0][key], row[key]) << key;
  EXPECT_FALSE(fs::exists(at(name) + "/" + fs::path(name).filename().string()))
      << "it keeps none of its own";
}

// Half of all norms are above their median, so that a factor of 1 skips many.
TEST_F(BadSteps, SpikesAreSkippedAndAResumedRunSkipsTheSame) {
  const std::vector<std::string> spikes = {"--set", "train.spike_factor=1"};
  const Outcome whole = train("whole", 62, spikes);
  ASSERT_EQ(whole.code, 0) << whole.err;
  int skipped = 0;
  for (const json& row : rows("whole")) {
    if (!row.contains("skipped")) continue;
    EXPECT_GT(row["step"], 51) << "before there is a median";
    EXPECT_EQ(row["skipped"], "spike");
    EXPECT_GT(row["grad_norm"], row["norm_limit"]);
    EXPECT_EQ(row["skipped_steps"], ++skipped);
  }
  EXPECT_GT(skipped, 0);
  EXPECT_LT(skipped, 11) << "not all are spikes";
  EXPECT_EQ(rows("whole").size(), 62u);
  EXPECT_THAT(whole.err, AllOf(HasSubstr("skipped steps: " + std::to_string(skipped)),
                               HasSubstr("which train.spike_factor allows")));
  for (const int stop : {30, 57}) {
    const std::string run = "parts" + std::to_string(stop);
    ASSERT_EQ(train(run, stop, spikes).code, 0);
    std::vector<std::string> rest = spikes;
    rest.push_back("--resume");
    ASSERT_EQ(train(run, 62, rest).code, 0);
    EXPECT_TRUE(contents(checkpoint("whole", 62)) == contents(checkpoint(run, 62))) << stop;
    EXPECT_EQ(rows(run).back()["skipped_steps"], skipped);
  }
  ASSERT_EQ(train("all", 62).code, 0);
  const auto weights = [&](const std::string& run) {
    EXPECT_EQ(haze({"export", "--checkpoint", at(run), "--out", at(run + ".safetensors")}).code, 0);
    return contents(at(run + ".safetensors"));
  };
  EXPECT_FALSE(weights("whole") == weights("all")) << "skipped, not only said to be";
}

TEST_F(BadSteps, AFactorBelowOneIsRefused) {
  const Outcome got = train("run", 2, {"--set", "train.spike_factor=0.5"});
  EXPECT_EQ(got.code, 2);
  EXPECT_THAT(got.last_error_line(), HasSubstr("train.spike_factor: 0.5; 0, or at least 1"));
}

}  // namespace
}  // namespace haze::test
