// SPDX-License-Identifier: MIT
// training_test.cpp — `haze train` from start to end, and stopped, killed and resumed in between.
#include <nlohmann/json.hpp>
#include <set>

#include "apps/image/png.h"
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Train : public TinyRun {};

std::vector<int> steps_in(const std::string& metrics) {
  std::vector<int> steps;
  for (const std::string& line : lines(contents(metrics)))
    steps.push_back(nlohmann::json::parse(line)["step"]);
  return steps;
}
std::vector<int> one_to(int n) {
  std::vector<int> all;
  for (int i = 1; i <= n; ++i) all.push_back(i);
  return all;
}

TEST_F(Train, LeavesTheRunFolderThatIsPromised) {
  const Outcome got = train("run", 6, {"--set", "train.sample_every=3"});
  ASSERT_EQ(got.code, 0) << got.err;
  EXPECT_EQ(got.out, checkpoint("run", 6) + "\n");
  EXPECT_THAT(got.err,
              AllOf(HasSubstr("\nstep 1 kimg "), HasSubstr("\nstep 6 kimg "), HasSubstr(" gnorm "),
                    HasSubstr("\nsave step 6 "), HasSubstr("next: haze sample --checkpoint ")));
  EXPECT_THAT(got.err, Not(HasSubstr("\r")));
  EXPECT_THAT(contents(at("run/log.txt")), HasSubstr("save step 6 "));

  EXPECT_EQ(steps_in(at("run/metrics.jsonl")), one_to(6));
  for (const std::string& line : lines(contents(at("run/metrics.jsonl")))) {
    const auto row = nlohmann::json::parse(line);
    for (const char* key :
         {"step", "loss", "learning_rate", "grad_norm", "images_per_second", "images", "epoch",
          "elapsed_s", "time", "sec_per_kimg", "peak_memory_bytes"})
      EXPECT_TRUE(row[key].is_number()) << key;
    EXPECT_EQ(row["images"], 4 * row["step"].get<int>());
  }
  const auto config = nlohmann::json::parse(contents(at("run/config.json")));
  EXPECT_EQ(config["train"]["steps"], 6);
  EXPECT_EQ(config["data"]["image_size"], (std::vector{8, 8}));
  const auto record = nlohmann::json::parse(contents(at("run/run.json")));
  EXPECT_EQ(record["exit"], 0);
  EXPECT_EQ(record["argv"][1], "train");

  for (const int step : {3, 6}) {
    const std::string name = at("run/samples/step-0000000" + std::to_string(step) + ".png");
    const std::string png = contents(name);
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(png.data()), png.size());
    EXPECT_EQ(apps::decode_png(bytes, name).width, 8 * 8 + 7 * 2);
    const auto recipe = nlohmann::json::parse(apps::png_recipe(bytes, name).value());
    EXPECT_EQ(recipe["step"], step);
    EXPECT_EQ(recipe["weights"], "ema");
    EXPECT_EQ(recipe["sampler"], "ddim");
    EXPECT_EQ(recipe["eta"], 1);
    EXPECT_EQ(recipe["count"], 64);
  }
  ASSERT_EQ(
      train("few", 1, {"--set", "train.sample_every=1", "--set", "train.sample_count=9"}).code, 0);
  const std::string png = contents(at("few/samples/step-00000001.png"));
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(png.data()), png.size());
  EXPECT_EQ(apps::decode_png(bytes, "few").width, 3 * 8 + 2 * 2);
}

TEST_F(Train, ResumedRunEqualsTheUninterruptedOneByteForByte) {
  // Sampling in between must leave no trace either: only one of the two does it.
  ASSERT_EQ(train("whole", 6, {"--set", "train.sample_every=2"}).code, 0);
  ASSERT_EQ(train("parts", 3).code, 0);
  const Outcome resumed = train("parts", 6, {"--resume", "--set", "train.sample_every=2"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("resumed at step 3"));
  EXPECT_TRUE(contents(checkpoint("whole", 6)) == contents(checkpoint("parts", 6)));
  EXPECT_EQ(steps_in(at("parts/metrics.jsonl")), one_to(6));
  EXPECT_EQ(nlohmann::json::parse(contents(at("parts/run.json")))["resumed_from"], 3);
  // The test can fail: another seed gives other bytes.
  ASSERT_EQ(train("other", 6, {"--seed", "1", "--set", "train.sample_every=2"}).code, 0);
  EXPECT_FALSE(contents(checkpoint("whole", 6)) == contents(checkpoint("other", 6)));
}

TEST_F(Train, AFinishedRunSaysSoAndHowToGoOn) {
  ASSERT_EQ(train("run", 3).code, 0);
  const std::string record = contents(at("run/run.json"));
  for (const int steps : {3, 2}) {
    const Outcome again = train("run", steps, {"--resume"});
    EXPECT_EQ(again.code, 0);
    EXPECT_EQ(again.err, "complete at step 3, train.steps is " + std::to_string(steps) +
                             "; to go on: haze train --resume --out " + at("run") + " --steps 6\n");
    EXPECT_EQ(again.out, checkpoint("run", 3) + "\n");
  }
  EXPECT_EQ(contents(at("run/run.json")), record);
  EXPECT_EQ(steps_in(at("run/metrics.jsonl")), one_to(3));
  EXPECT_EQ(haze({"train", "--resume", "--out", at("run"), "--steps", "6"}).code, 0);
  EXPECT_TRUE(fs::exists(checkpoint("run", 6)));
}

TEST_F(Train, RefusesKeysAndFlagsThatSayNothing) {
  const auto refused = [&](const std::vector<std::string>& more, const std::string& why) {
    const Outcome got = train("run", 2, more);
    EXPECT_EQ(got.code, 2);
    EXPECT_THAT(got.last_error_line(), HasSubstr(why));
  };
  refused({"--set", "train.vlb_weight=1"}, "train.vlb_weight: 1; it counts only where");
  refused({"--skip-bad"}, "data.skip_bad: true; only of images:DIR");
  EXPECT_FALSE(fs::exists(at("run")));
  const Outcome nowhere = haze({"train", "--config", at("tiny.json"), "--overwrite"});
  EXPECT_THAT(nowhere.last_error_line(), HasSubstr("--overwrite: which run?"));
}

TEST_F(Train, KilledAtAnyMomentItComesToTheSameEnd) {
  const std::vector<std::string> each = {"--set", "train.checkpoint_every=1", "--resume"};
  const auto start = std::chrono::steady_clock::now();
  const int steps = 60;
  ASSERT_EQ(train("whole", steps, each).code, 0);
  // Kills some steps apart, however fast the machine is: twelve, and more of them where it has
  // become slower since the whole run was timed.
  const auto span = (std::chrono::steady_clock::now() - start) / 12;
  std::set<std::string> resumed_at;
  std::mt19937 random(1);
  for (int i = 0; i < 12 || (i < 60 && resumed_at.size() < 3); ++i) {
    Process run(arguments("parts", steps, each));
    // Somewhere after the run has begun: in a step, in a checkpoint or between the two.
    run.wait_until([&] { return run.err().find("resum") != std::string::npos; });
    std::this_thread::sleep_for(span * double(random() % 1000) / 1000);
    run.signal(SIGKILL);
    const Outcome got = run.wait();
    const auto at = got.err.find("resumed at step ");
    if (got.code == -SIGKILL && at != std::string::npos)
      resumed_at.insert(got.err.substr(at, got.err.find(' ', at + 16) - at));
  }
  EXPECT_GE(resumed_at.size(), 3u) << "killed between too few steps: the test shows little";
  const Outcome last = train("parts", steps, each);
  ASSERT_EQ(last.code, 0) << last.err;
  EXPECT_TRUE(contents(checkpoint("whole", steps)) == contents(checkpoint("parts", steps)));
  EXPECT_EQ(steps_in(at("parts/metrics.jsonl")), one_to(steps));
  for (const auto& entry : fs::directory_iterator(at("parts/checkpoints")))
    EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr("tmp")));
}

TEST_F(Train, AStopSignalFinishesTheStepAndWritesACheckpoint) {
  ASSERT_EQ(train("whole", 60).code, 0);
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string name = "stopped-" + std::to_string(signal);
    Process run(arguments(name, 60, {"--resume"}));
    ASSERT_TRUE(run.wait_until([&] {
      return fs::exists(at(name + "/metrics.jsonl")) &&
             !contents(at(name + "/metrics.jsonl")).empty();
    }));
    run.signal(signal);
    const Outcome got = run.wait();
    ASSERT_EQ(got.code, 128 + signal) << got.err;
    const auto files = fs::directory_iterator(at(name + "/checkpoints"));
    EXPECT_EQ(std::distance(begin(files), end(files)), 1);
    EXPECT_THAT(got.err, HasSubstr("go on with: haze train --resume --out "));
    EXPECT_EQ(nlohmann::json::parse(contents(at(name + "/run.json")))["exit"], 128 + signal);
    // The folder alone is enough to go on.
    const Outcome rest = haze({"train", "--resume", "--out", at(name)});
    ASSERT_EQ(rest.code, 0) << rest.err;
    EXPECT_TRUE(contents(checkpoint("whole", 60)) == contents(checkpoint(name, 60)));
  }
}

TEST_F(Train, TwoStopSignalsAtOnceAreOne) {
  // As `timeout` sends them; tests/apps/signals_test.cpp has the one that comes later.
  Process run(arguments("run", 1000000));
  ASSERT_TRUE(run.wait_until([&] {
    return fs::exists(at("run/metrics.jsonl")) && !contents(at("run/metrics.jsonl")).empty();
  }));
  for (const int signal : {SIGSTOP, SIGINT, SIGTERM, SIGCONT}) run.signal(signal);
  const Outcome got = run.wait();
  EXPECT_THAT(got.code, testing::AnyOf(128 + SIGINT, 128 + SIGTERM));
  EXPECT_THAT(got.err, AllOf(HasSubstr("the next signal leaves without saving"),
                             HasSubstr("save step"), HasSubstr("go on with: haze train --resume")));
  EXPECT_FALSE(fs::is_empty(at("run/checkpoints")));
}

TEST_F(Train, SigUsr1WritesACheckpointAndGoesOn) {
  Process run(arguments("run", 200));
  ASSERT_TRUE(run.wait_until([&] {
    return fs::exists(at("run/metrics.jsonl")) && !contents(at("run/metrics.jsonl")).empty();
  }));
  run.signal(SIGUSR1);
  const Outcome got = run.wait();
  EXPECT_EQ(got.code, 0) << got.err;
  const auto files = fs::directory_iterator(at("run/checkpoints"));
  EXPECT_EQ(std::distance(begin(files), end(files)), 2) << "one when asked, one at the end";
}

TEST_F(Train, AFolderWithAnotherRunIsLeftAlone) {
  ASSERT_EQ(train("run", 2).code, 0);
  const std::string before = contents(checkpoint("run", 2));
  const Outcome again = train("run", 2);
  EXPECT_EQ(again.code, 2);
  EXPECT_THAT(again.last_error_line(), AllOf(HasSubstr("--resume"), HasSubstr("--overwrite")));
  EXPECT_TRUE(contents(checkpoint("run", 2)) == before);

  const Outcome changed = train("run", 4, {"--resume", "--set", "train.learning_rate=0.5"});
  EXPECT_EQ(changed.code, 2);
  EXPECT_THAT(changed.last_error_line(), HasSubstr("train.learning_rate: 0.5, not 0.001"));
  const Outcome other = train("run", 4, {"--resume", "--data", "synthetic:digits:65"});
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.last_error_line(), HasSubstr("not the images"));

  EXPECT_EQ(train("run", 2, {"--overwrite"}).code, 0);
  EXPECT_TRUE(contents(checkpoint("run.old-1", 2)) == before);
  EXPECT_EQ(train("run", 2, {"--overwrite"}).code, 0);
  EXPECT_TRUE(fs::exists(checkpoint("run.old-2", 2)));
}

TEST_F(Train, OverwriteThatIsRefusedMovesNothing) {
  ASSERT_EQ(train("run", 2).code, 0);
  const std::vector<std::vector<std::string>> wrong = {{"--data", "mnist:" + at("nowhere")},
                                                       {"--set", "data.image_size=[7,7]"},
                                                       {"--set", "model.norm_groups=3"},
                                                       {"--device", "cuda:99"}};
  for (const auto& more : wrong) {
    std::vector<std::string> all = {"--overwrite"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome got = train("run", 2, all);
    EXPECT_THAT(got.code, testing::AnyOf(2, 3)) << got.err;
    EXPECT_TRUE(fs::exists(checkpoint("run", 2))) << more[1];
    EXPECT_FALSE(fs::exists(at("run.old-1"))) << more[1];
  }
  EXPECT_EQ(train("run", 4, {"--resume"}).code, 0);
}

TEST_F(Train, ASecondProcessMayNotHaveTheFolder) {
  Process first(arguments("run", 100000));
  ASSERT_TRUE(first.wait_until([&] { return fs::exists(at("run/metrics.jsonl")); }));
  EXPECT_EQ(train("run", 10, {"--resume"}).code, 2);
  EXPECT_EQ(train("run", 10, {"--overwrite"}).code, 2);
}

TEST_F(Train, ADamagedNewestCheckpointGivesWayToTheOneBefore) {
  ASSERT_EQ(train("whole", 6, {"--set", "train.checkpoint_every=2"}).code, 0);
  ASSERT_EQ(train("run", 4, {"--set", "train.checkpoint_every=2"}).code, 0);
  std::string bytes = contents(checkpoint("run", 4));
  bytes[bytes.size() - 100] ^= 1;
  write(checkpoint("run", 4), bytes);
  const Outcome got = train("run", 6, {"--resume", "--set", "train.checkpoint_every=2"});
  ASSERT_EQ(got.code, 0) << got.err;
  EXPECT_THAT(got.err, AllOf(HasSubstr("resumed at step 2"), HasSubstr("step-00000004")));
  EXPECT_TRUE(contents(checkpoint("whole", 6)) == contents(checkpoint("run", 6)));
  EXPECT_EQ(steps_in(at("run/metrics.jsonl")), one_to(6));
}

TEST_F(Train, AFullDiskLeavesTheLastGoodCheckpoint) {
  ASSERT_EQ(train("run", 2, {"--set", "train.checkpoint_every=1"}).code, 0);
  const std::string before = contents(checkpoint("run", 2));
  const auto limited = [] {
    const rlimit most{16384, 16384};  // less than a checkpoint, more than the logs
    setrlimit(RLIMIT_FSIZE, &most);
  };
  ASSERT_GT(before.size(), 16384u);
  const Outcome got =
      haze(arguments("run", 4, {"--resume", "--set", "train.checkpoint_every=1"}), limited);
  EXPECT_EQ(got.code, 1);
  EXPECT_THAT(got.last_error_line(),
              AllOf(HasSubstr("step 3 is not saved"), HasSubstr(checkpoint("run", 2))));
  EXPECT_FALSE(fs::exists(checkpoint("run", 3)));
  EXPECT_TRUE(contents(checkpoint("run", 2)) == before);
  for (const auto& entry : fs::directory_iterator(at("run/checkpoints")))
    EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr("tmp")));
  EXPECT_EQ(train("run", 4, {"--resume"}).code, 0);
}

TEST_F(Train, StartsWithoutOutAtOnceGetANumberEach) {
  fs::copy_file(at("tiny.json"), at("other.json"));
  const auto runs = [&] { setenv("HAZE_RUNS", at("runs").c_str(), 1); };
  std::vector<std::unique_ptr<Process>> started;
  for (int i = 0; i < 8; ++i) {
    const std::string config = at(i % 2 ? "tiny.json" : "other.json");
    started.push_back(std::make_unique<Process>(
        std::vector<std::string>{"train", "--config", config, "--steps", "1"}, runs));
  }
  for (const auto& run : started) {
    const Outcome got = run->wait();
    EXPECT_EQ(got.code, 0) << got.err;
  }
  std::set<std::string> numbers;
  for (const auto& entry : fs::directory_iterator(at("runs")))
    if (!entry.is_symlink()) numbers.insert(entry.path().filename().string().substr(0, 5));
  EXPECT_EQ(numbers.size(), 8u);
}

TEST_F(Train, WithoutOutTheFolderIsNumberedAndNamed) {
  const auto runs = [&] { setenv("HAZE_RUNS", at("runs").c_str(), 1); };
  for (int i = 0; i < 2; ++i) {
    const Outcome got = haze({"train", "--config", at("tiny.json"), "--steps", "1"}, runs);
    EXPECT_EQ(got.code, 0) << got.err;
  }
  EXPECT_TRUE(fs::exists(checkpoint("runs/00001-tiny-f32", 1)));
  EXPECT_TRUE(fs::exists(checkpoint("runs/00002-tiny-f32", 1)));
  EXPECT_TRUE(fs::exists(checkpoint("runs/latest", 1)));
}

}  // namespace
}  // namespace haze::test
