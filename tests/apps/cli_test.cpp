// SPDX-License-Identifier: MIT
// cli_test.cpp — help, exit codes, streams: what every subcommand promises.
#include <nlohmann/json.hpp>

#include "tests/apps/program.h"

namespace haze::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::vector<std::string> kCommands = {"train", "sample",     "points", "edit",
                                            "eval",  "classifier", "verify", "export",
                                            "data",  "info",       "bench"};

TEST(Help, EverySubcommandOpensWithTwoExamplesThatParse) {
  for (const std::string& command : kCommands) {
    const Outcome help = haze({command, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_EQ(help.err, "") << command;
    EXPECT_THAT(help.out, StartsWith("Examples:\n  haze " + command));
    int examples = 0;
    for (const std::string& line : lines(help.out))
      examples += line.starts_with("  haze " + command);
    EXPECT_GE(examples, 2) << command;
    EXPECT_EQ(haze({"help", command}).out, help.out);
    for (const std::string& line : lines(help.out))
      EXPECT_LE(line.size(), 102u) << command << ": too wide for 100 columns: " << line;
    // Every flag in an example is one that the help lists below it.
    const std::string top = help.out.substr(0, help.out.find("Usage:"));
    const std::string listed = help.out.substr(top.size());
    std::istringstream words(top);
    for (std::string word; words >> word;)
      if (word.starts_with("--") && word != "--batch") {
        EXPECT_THAT(listed, HasSubstr(word + " ")) << command;
      }
  }
}

TEST(Help, HazeAloneIsTenLinesWithTheTwoCommands) {
  const Outcome alone = haze({});
  EXPECT_EQ(alone.code, 0);
  EXPECT_EQ(lines(alone.out).size(), 10u) << alone.out;
  EXPECT_THAT(alone.out, HasSubstr("\n  haze train "));
  EXPECT_THAT(alone.out, HasSubstr("\n  haze sample "));
  EXPECT_THAT(haze({"--version"}).out, testing::MatchesRegex("haze [0-9.]+\n"));
  for (const std::string& command : kCommands)
    EXPECT_THAT(haze({"--help"}).out, HasSubstr("\n  " + command + " "));
}

TEST(Errors, OneLastLineAndTheRightExitCode) {
  struct Case {
    std::vector<std::string> arguments;
    int code;
    const char* says;
  };
  const Case cases[] = {
      {{"trian"}, 2, "did you mean haze train?"},
      {{"--vresion"}, 2, "did you mean haze --version?"},
      {{"train"}, 2, "--config: not given"},
      {{"train", "--confg", "mnist"}, 2, "--confg: no such flag; did you mean --config?"},
      {{"train", "--lr", "1e-3"}, 2, "--lr: no such flag; did you mean --set train.learning_rate="},
      {{"train", "--batch-size=8"}, 2, "did you mean --set train.batch_size="},
      {{"train", "--config"}, 2, "--config: needs one value"},
      {{"train", "--config", "a", "--config", "b"}, 2, "--config: given more than once"},
      {{"train", "--config", "mnits"}, 2, "did you mean mnist?"},
      {{"train", "--config", "mnist", "--steps", "abc"}, 2, "a whole number from 1"},
      {{"train", "--config", "mnist", "stray"}, 2, "stray: not expected"},
      {{"train", "--config", "mnist", "--set", "model.n_chanels=3"}, 2, "model.n_channels?"},
      {{"train", "--config", "mnist", "--set", "model.norm_groups=7"}, 2, "model.norm_groups: 7"},
      {{"train", "--config", "mnist", "--data", "synthetic:digits", "--set",
        "data.image_size=[27,28]"},
       2,
       "27"},
      {{"train", "--config", "mnist", "--device", "cuda:99"}, 3, "--device: cuda"},
      {{"train", "--config", "mnist", "--device", "gpu"}, 2, "cpu, cuda or cuda:N"},
      {{"train", "--config", "-"}, 2, "standard input: not JSON"},
      {{"train", "--config", "demo", "--resume", "--overwrite", "--out", "x"}, 2, "one of the two"},
      {{"sample"}, 2, "--checkpoint: not given"},
      {{"sample", "--checkpoint", "/no/such"}, 2, "/no/such"},
      {{"sample", "--n", "-1"}, 2, "--n: -1"},
      {{"sample", "--sampler", "ddmp"}, 2, "did you mean ddpm?"},
      {{"sample", "--eta", "nan"}, 2, "--eta: nan"},
      {{"sample", "--seed", "-3"}, 2, "--seed: -3"},
      {{"verify", "--config", "labml"}, 2, "--weights: not given"},
      {{"export", "--out", "x.safetensors"}, 2, "--checkpoint: not given"},
      {{"data"}, 2, "SPEC: not given"},
      {{"data", "images:/no/such"}, 2, "/no/such"},
      {{"data", "synthetic:digits", "--size", "3x"}, 2, "HEIGHTxWIDTH"},
      {{"info", "--config", "zz"}, 2, "zz"},
      {{"info", "--set", "train.steps=3"}, 2, "--set: given with no --config"},
      {{"info", "--keys", "--config", "mnist"}, 2, "--config: given with --keys"},
      {{"info", "--schema", "--keys"}, 2, "--keys: given with --schema"},
  };
  for (const Case& c : cases) {
    const Outcome got = haze(c.arguments);
    EXPECT_EQ(got.code, c.code) << c.says << "\n" << got.err;
    EXPECT_EQ(got.out, "") << c.says;
    EXPECT_THAT(got.last_error_line(), StartsWith("haze: error: "));
    EXPECT_THAT(got.last_error_line(), HasSubstr(c.says));
  }
}

TEST(Info, JsonParsesAndCountsTheWeights) {
  const auto parameters = [](const std::string& name) {
    const Outcome got = haze({"info", "--config", name, "--json"});
    EXPECT_EQ(got.code, 0) << got.err;
    EXPECT_EQ(got.err, "");
    const auto json = nlohmann::json::parse(got.out);
    std::size_t sum = 0;
    for (const auto& block : json["network"]["blocks"])
      sum += block["parameters"].get<std::size_t>();
    EXPECT_EQ(sum, json["network"]["parameters"].get<std::size_t>());
    return sum;
  };
  EXPECT_EQ(parameters("labml"), 167'777'987u);
  EXPECT_EQ(parameters("ddpm-cifar10"), 35'746'307u);
  const auto plain = nlohmann::json::parse(haze({"info", "--json"}).out);
  EXPECT_EQ(plain["devices"][0]["name"], "cpu");
  EXPECT_THAT(haze({"info", "--config", "mnist"}).out, HasSubstr("28x28x32"));
  EXPECT_THAT(haze({"info", "--keys"}).out, HasSubstr("train.learning_rate"));
  const auto keys = nlohmann::json::parse(haze({"info", "--keys", "--json"}).out)["keys"];
  EXPECT_EQ(keys[0]["name"], "model.type");
  EXPECT_EQ(keys[0]["default"], "labml_unet");
  EXPECT_GT(keys.size(), 50u);
}

TEST(Info, EveryShippedConfigurationMakesItsNetwork) {
  for (const char* name : {"mnist", "fashion-mnist", "celeba64", "labml", "ddpm-cifar10", "demo"})
    EXPECT_EQ(haze({"info", "--config", name}).code, 0) << name;
}

TEST(DataCommand, SaysWhatThereIsAndDrawsAGrid) {
  const TemporaryFolder folder;
  const Outcome got = haze({"data", "synthetic:digits:100", "--json", "--out", folder / "g.png"});
  EXPECT_EQ(got.code, 0) << got.err;
  const auto json = nlohmann::json::parse(got.out);
  EXPECT_EQ(json["count"], 100);
  EXPECT_EQ(json["channels"], 1);
  EXPECT_EQ(json["classes"].size(), 10u);
  EXPECT_THAT(contents(folder / "g.png"), StartsWith("\x89PNG"));
  EXPECT_THAT(haze({"data", "synthetic:digits:100", "--out", "-"}).out, StartsWith("\x89PNG"));
  EXPECT_THAT(haze({"data", "synthetic:digits:100", "--size", "14x16"}).out, HasSubstr("14x16"));
}

TEST(TrainFlags, DryRunAndPrintConfigWriteNothing) {
  const TemporaryFolder folder;
  const Outcome dry = haze({"train", "--config", "demo", "--dry-run", "--out", folder / "run"});
  EXPECT_EQ(dry.code, 0) << dry.err;
  EXPECT_EQ(nlohmann::json::parse(dry.out)["data"]["spec"], "synthetic:digits");
  EXPECT_FALSE(fs::exists(folder / "run"));
  const Outcome print = haze(
      {"train", "--config", "demo", "--print-config", "--set", "train.steps=7", "--seed", "5"});
  EXPECT_THAT(print.out, testing::ContainsRegex("train.steps = 7 +\\(--set\\)"));
  EXPECT_THAT(print.out, testing::ContainsRegex("train.seed = 5 +\\(--seed\\)"));
  EXPECT_THAT(print.out, testing::ContainsRegex("train.adam_beta1 = 0.9 +\\(default\\)"));
}

TEST(TrainFlags, ARandomSeedIsDrawnPrintedAndStored) {
  std::vector<std::string> seeds;
  for (int k = 0; k < 2; ++k) {
    const Outcome got = haze({"train", "--config", "demo", "--dry-run", "--seed", "random"});
    seeds.push_back(nlohmann::json::parse(got.out)["train"]["seed"].dump());
    EXPECT_THAT(got.err, HasSubstr("; seed " + seeds[std::size_t(k)] + ";"));
  }
  EXPECT_NE(seeds[0], seeds[1]);  // equal once in four thousand million
}

TEST(TrainFlags, DryRunPrintsTheOriginsIfAsked) {
  const Outcome got = haze({"train", "--config", "demo", "--dry-run", "--print-config"});
  EXPECT_EQ(got.code, 0);
  EXPECT_THAT(got.out, HasSubstr("(demo.json)"));
  EXPECT_THAT(got.err, HasSubstr(" parameters, "));
}

TEST(TrainFlags, AFlagWinsOverSetAndSetOverTheEnvironment) {
  const auto spec = [](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"train", "--config", "demo", "--print-config"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome got = haze(arguments, [] { setenv("HAZE_DATA", "synthetic:shapes", 1); });
    for (const std::string& line : lines(got.out))
      if (line.starts_with("data.spec")) return line;
    return got.err;
  };
  EXPECT_THAT(spec({}), testing::ContainsRegex("synthetic:shapes. +\\(HAZE_DATA\\)"));
  EXPECT_THAT(spec({"--set", "data.spec=a:b"}), testing::ContainsRegex("a:b. +\\(--set\\)"));
  EXPECT_THAT(spec({"--data", "c:d", "--set", "data.spec=a:b"}),
              testing::ContainsRegex("c:d. +\\(--data\\)"));
}

}  // namespace
}  // namespace haze::test
