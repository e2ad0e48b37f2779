// SPDX-License-Identifier: MIT
// verify_test.cpp — `haze verify` as a user types it, on every record there is: the committed ones
// (tests/fixtures) and those beside the checkout (../shared/reference or HAZE_REFERENCE_DIR).
#include "tests/apps/program.h"

namespace haze::apps {
namespace {

using test::haze;

/// Runs verify on the records of NAME in `folder`; returns how many there were.
int verify_all(const std::string& folder, const std::string& name, const std::string& config) {
  const std::string base = folder + "/" + name;
  int records = 0;
  for (const std::string kind : {"forward", "grad", "sample", "train"}) {
    const std::string fixture = base + "." + kind + ".safetensors";
    if (!test::fs::exists(fixture)) continue;
    std::vector<std::string> arguments = {
        "verify",    "--config", config, "--weights", base + ".weights.safetensors",
        "--fixture", fixture};
    if (kind == "train") {
      arguments.push_back("--expect");
      arguments.push_back(base + ".trained.safetensors");
    }
    const auto done = haze(arguments);
    EXPECT_EQ(done.code, 0) << fixture << "\n" << done.out << done.err;
    ++records;
  }
  return records;
}

TEST(Verify, EveryCommittedRecordAgrees) {
  const std::string folder = test::source_dir() + "/tests/fixtures";
  int records = 0;
  for (const auto& file : test::fs::directory_iterator(folder))
    if (file.path().extension() == ".json")
      records += verify_all(folder, file.path().stem().string(), file.path().string());
  EXPECT_GE(records, 15);
}

TEST(Verify, TheTutorialsOwnRecordsAgree) {
  const char* given = std::getenv("HAZE_REFERENCE_DIR");
  const std::string folder = given ? given : test::source_dir() + "/../shared/reference";
  if (!test::fs::exists(folder + "/unet_gray16.weights.safetensors"))
    GTEST_SKIP() << "no records in " << folder << "; set HAZE_REFERENCE_DIR";
  const test::TemporaryFolder own;
  const std::string config = own / "unet_gray16.json";
  test::write(config, R"({
    "model": {"type": "labml_unet", "image_channels": 1, "n_channels": 64, "ch_mults": [1, 2],
              "is_attn": [false, true], "n_blocks": 1, "dropout": 0.0},
    "diffusion": {"steps": 20, "schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02,
                  "variance": "beta"}})");
  EXPECT_EQ(verify_all(folder, "unet_gray16", config), 4);
}

TEST(Verify, RecordsOfOtherNumbersDoNot) {
  // The weights before training held against those after it: a difference, so the answer is no.
  const std::string base = test::source_dir() + "/tests/fixtures/labml_one_level";
  const auto done =
      haze({"verify", "--config", base + ".json", "--weights", base + ".weights.safetensors",
            "--fixture", base + ".train.safetensors", "--expect", base + ".weights.safetensors"});
  EXPECT_EQ(done.code, 1) << done.out << done.err;
  EXPECT_THAT(done.out, testing::HasSubstr("MISMATCH"));
}

TEST(Verify, Bf16AgainstTheRecordedErrorOfBf16) {
  const std::string base = test::source_dir() + "/tests/fixtures/labml_one_level";
  const auto verify = [&](const std::string& kind) {
    return haze({"verify", "--config", base + ".json", "--weights", base + ".weights.safetensors",
                 "--precision", "bf16", "--fixture", cat(base, '.', kind, ".safetensors")});
  };
  const auto done = verify("forward");
  EXPECT_EQ(done.code, 0) << done.out << done.err;
  EXPECT_THAT(done.out, testing::HasSubstr(" inf "));  // any single element may differ; the rms not
  const auto refused = verify("train");
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, testing::HasSubstr("--precision: bf16; forward and grad records say"));
}

}  // namespace
}  // namespace haze::apps
