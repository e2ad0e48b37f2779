// SPDX-License-Identifier: MIT
// answers_test.cpp — errors are answers: whatever a user gives, the last line says what is there
// and what would be right, and never that haze has a bug.
#include <sys/stat.h>

#include "engine/files/safetensors.h"
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using testing::HasSubstr;
using testing::Not;

void expect_answer(const std::vector<std::string>& arguments, const std::string& says) {
  const Outcome got = haze(arguments);
  const std::string all = testing::PrintToString(arguments);
  EXPECT_EQ(got.code, 2) << all << "\n" << got.err;
  EXPECT_THAT(got.last_error_line(), HasSubstr(says)) << all;
  for (const char* never : {"bug in haze", "filesystem error", "check failed", "what():"})
    EXPECT_THAT(got.err, Not(HasSubstr(never))) << all;
}

TEST(Answers, PathsThatTheSystemRefusesAreSaidInItsWords) {
  const TemporaryFolder folder;
  const std::string loop = folder / "loop", file = folder / "file";
  ASSERT_EQ(symlink(loop.c_str(), loop.c_str()), 0);
  write(file, "text");
  const std::string longest(300, 'n');
  for (const std::string& path : {loop, longest, file + "/below", folder / "none"}) {
    const std::string why = path == loop ? "Too many levels of symbolic links" : "";
    expect_answer({"sample", "--checkpoint", path}, path == loop ? why : "no such file or folder");
    expect_answer({"export", "--checkpoint", path, "--out", file + ".safetensors"}, why);
    expect_answer({"eval", "--samples", path, "--data", "synthetic:digits:4"}, why);
    expect_answer({"eval", "--samples", "synthetic:digits:4", "--data", "images:" + path}, why);
    expect_answer({"train", "--config", path, "--out", folder / "run"}, why);
    expect_answer({"info", "--config", path}, why);
    expect_answer({"info", path}, path == longest ? "File name too long" : why);
    expect_answer({"bench", "compare", path, file}, path == longest ? "File name too long" : why);
    expect_answer({"data", "images:" + path}, path == loop ? why : "the folder does not exist");
    expect_answer({"data", "mnist:" + path}, path == loop ? why : "the folder does not exist");
    expect_answer({"data", path}, why);
    expect_answer({"sample", "--checkpoint", file, "--noise", path}, "");
    expect_answer({"verify", "--config", "labml", "--weights", path, "--fixture", path}, why);
  }
  expect_answer({"train", "--resume", "--out", loop}, "Too many levels of symbolic links");
  expect_answer({"info", "--config", folder.path}, "a folder: a file is needed");
  expect_answer({"data", "images:" + file}, "a file; the folder that it lies in is asked for");
}

TEST(Answers, ARelativeFolderIsSaidToCountFromWhereHazeWasStarted) {
  const TemporaryFolder folder;
  const auto below = [&] { EXPECT_EQ(chdir(folder.path.c_str()), 0); };
  const Outcome got = haze({"data", "images:photos"}, below);
  EXPECT_EQ(got.code, 2);
  EXPECT_THAT(got.last_error_line(), HasSubstr("does not exist in " + folder.path));
}

TEST_F(TinyRun, TheFolderThatOneIsInIsNotMovedAway) {
  ASSERT_EQ(train("run", 1).code, 0);
  const Outcome got = haze({"train", "--config", at("tiny.json"), "--overwrite", "--out", "."},
                           [&] { EXPECT_EQ(chdir(at("run").c_str()), 0); });
  EXPECT_EQ(got.code, 2);
  EXPECT_THAT(got.last_error_line(), HasSubstr("name its folder as seen from the one above"));
  EXPECT_TRUE(fs::exists(checkpoint("run", 1)));
}

TEST_F(TinyRun, AFolderWhoseNameIsNotUtf8SurvivesAResume) {
  const std::string photos = at("caf\xe9"), label = "\xff";
  fs::create_directories(photos + "/" + label);
  ASSERT_EQ(haze({"data", "synthetic:digits:1", "--out", photos + "/" + label + "/a.png"}).code, 0);
  const Outcome first = train("run", 2, {"--data", "images:" + photos});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(contents(at("run/config.json")), HasSubstr("caf\\u0000e9\""));
  const Outcome on = haze({"train", "--resume", "--out", at("run"), "--steps", "3"});
  EXPECT_EQ(on.code, 0) << on.err;
  EXPECT_TRUE(fs::exists(checkpoint("run", 3)));
  EXPECT_EQ(haze({"data", "images:" + photos, "--label", label}).code, 0);
  EXPECT_EQ(haze({"data", "images:" + photos, "--json"}).code, 0);
}

/// `haze verify` of a committed network on its forward record, with other times or another key.
void expect_verify_answer(const std::string& name, const std::string& from, const std::string& to,
                          float t, const std::string& says) {
  const TemporaryFolder folder;
  const std::string base = source_dir() + "/tests/fixtures/" + name;
  std::string config = contents(base + ".json");
  if (const auto at = config.find(from); !from.empty()) {
    ASSERT_NE(at, config.npos) << from;
    config.replace(at, from.size(), to);
  }
  write(folder / "config.json", config);
  const engine::SafetensorsReader record(engine::disk(), base + ".forward.safetensors");
  std::vector<std::vector<float>> values;
  std::vector<engine::SafetensorsTensor> tensors;
  values.reserve(record.tensors().size());
  for (const auto& entry : record.tensors()) {
    if (entry.name == "t")
      values.emplace_back(entry.elements(), t);
    else
      values.push_back(record.read_f32(entry));
    tensors.push_back({entry.name, entry.shape, values.back().data()});
  }
  engine::write_safetensors(engine::disk(), folder / "record.safetensors", tensors);
  expect_answer({"verify", "--config", folder / "config.json", "--weights",
                 base + ".weights.safetensors", "--fixture", folder / "record.safetensors"},
                says);
}

TEST(Answers, OneOfSeveralFilesOfAModelIsNamedSo) {
  const TemporaryFolder folder;
  const std::string base = source_dir() + "/tests/fixtures/point_mlp",
                    shard = folder / "model-00002-of-00003.safetensors";
  fs::copy_file(base + ".weights.safetensors", shard);
  expect_answer({"verify", "--config", base + ".json", "--weights", shard, "--fixture",
                 base + ".forward.safetensors"},
                "; one of 3 files of a model");
}

TEST(Answers, WhatARecordCannotHoldIsNoBug) {
  expect_verify_answer("point_mlp", "", "", 7, "t holds 7; whole numbers from 0 to 6");
  expect_verify_answer("ddpm_google", "\"model\": {", "\"model\": {\"num_classes\": 10,", 3,
                       "model.num_classes: 10; a record has no classes");
  expect_verify_answer("ddpm_google", "\"model\": {", "\"model\": {\"self_condition\": true,", 3,
                       "model.self_condition: true; a record has no earlier predictions");
  expect_verify_answer("point_mlp", "\"beta\"", "\"learned\"", 3,
                       "diffusion.variance: learned; a record has no variances");
}

}  // namespace
}  // namespace haze::test
