// SPDX-License-Identifier: MIT
// precision_test.cpp — tf32 as a user asks for it: refused where the device has no such products,
// and elsewhere used, kept with the run, and inherited by what is drawn from it.
#include <nlohmann/json.hpp>

#include "engine/files/safetensors.h"
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using testing::HasSubstr;

using Strings = std::vector<std::string>;

class Tf32 : public TinyRun {
 protected:
  /// The images that `haze sample` draws from `run`.
  std::vector<float> samples(const std::string& run, const Strings& more, Outcome* said = nullptr) {
    Strings all = {"sample",
                   "--checkpoint",
                   at(run),
                   "--n",
                   "2",
                   "--sampler",
                   "ddim",
                   "--steps",
                   "4",
                   "--save-tensors",
                   at("t.safetensors"),
                   "--out",
                   at("g.png")};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome got = haze(all);
    EXPECT_EQ(got.code, 0) << got.err;
    if (said) *said = got;
    const engine::SafetensorsReader file(engine::disk(), at("t.safetensors"));
    return file.read_f32(file.at("samples"));
  }
  std::vector<double> losses(const std::string& run) const {
    std::vector<double> all;
    for (const std::string& line : lines(contents(at(run + "/metrics.jsonl"))))
      all.push_back(nlohmann::json::parse(line)["loss"]);
    return all;
  }
};

TEST_F(Tf32, TheCpuRefusesItWhereverItIsAskedFor) {
  ASSERT_EQ(train("run", 1).code, 0);
  const std::string fixture = test::source_dir() + "/tests/fixtures/labml_one_level";
  const Strings cases[] = {
      arguments("new", 1, {"--precision", "tf32"}),
      arguments("new", 1, {"--set", "train.precision=tf32", "--dry-run"}),
      {"bench", "step", "--config", "mnist", "--precision", "tf32"},
      {"bench", "kernels", "-k", "swish", "--precision", "tf32"},
      {"sample", "--checkpoint", at("run"), "--out", at("g.png"), "--precision", "tf32"},
      {"edit", "vary", "--image", at("x.png"), "--checkpoint", at("run"), "--precision", "tf32"},
      {"verify", "--config", fixture + ".json", "--weights", fixture + ".weights.safetensors",
       "--fixture", fixture + ".forward.safetensors", "--precision", "tf32"}};
  for (const Strings& c : cases) {
    const Outcome got = haze(c);
    EXPECT_EQ(got.code, 2) << c[0] << "\n" << got.err;
    EXPECT_EQ(got.out, "") << c[0];
    EXPECT_THAT(got.last_error_line(),
                HasSubstr("precision: tf32; the CPU has no tf32 products: f32 or bf16"));
  }
  EXPECT_FALSE(fs::exists(at("new")));
  EXPECT_THAT(haze({"sample", "--precision", "tf23"}).last_error_line(),
              HasSubstr("--precision: tf23; one of f32, tf32, bf16; did you mean tf32?"));
}

#if defined(HAZE_CUDA)
TEST_F(Tf32, OnCudaItRoundsTrainingAndGoesWithTheRun) {
  const Strings cuda = {"--device", "cuda"}, tf32 = {"--device", "cuda", "--precision", "tf32"};
  ASSERT_EQ(train("f32", 2, cuda).code, 0);
  const Outcome first = train("tf32", 2, tf32);
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(nlohmann::json::parse(contents(at("tf32/config.json")))["train"]["precision"], "tf32");
  // The loss is a mean square of errors of size 1 of an output that is off by some sqrt(60)·2^-11
  // (unet_test.cpp), or about 1e-7 if nothing was rounded.
  const auto exact = losses("f32"), rounded = losses("tf32");
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_NE(exact[i], rounded[i]) << i;
    EXPECT_NEAR(exact[i], rounded[i], 0.01) << i;
  }

  // A resumed run is the same run.
  const auto resume = [&](Strings more) {
    more.push_back("--resume");
    return train("tf32", 3, more);
  };
  EXPECT_THAT(resume({"--precision", "tf32"}).last_error_line(),
              HasSubstr("train.precision: tf32; the CPU has no"));
  EXPECT_THAT(resume({"--device", "cuda", "--precision", "f32"}).last_error_line(),
              HasSubstr("--resume: train.precision: \"f32\", not \"tf32\""));
  const Outcome on = resume(tf32);
  ASSERT_EQ(on.code, 0) << on.err;
  ASSERT_EQ(train("whole", 3, tf32).code, 0);
  EXPECT_EQ(contents(checkpoint("tf32", 3)), contents(checkpoint("whole", 3)));
}

TEST_F(Tf32, SamplesAreDrawnAsTrainedAndOnTheCpuInF32) {
  ASSERT_EQ(train("run", 1, {"--device", "cuda", "--precision", "tf32"}).code, 0);
  const auto trained = samples("run", {"--device", "cuda"});
  EXPECT_EQ(trained, samples("run", {"--device", "cuda", "--precision", "tf32"}));
  const auto exact = samples("run", {"--device", "cuda", "--precision", "f32"});
  EXPECT_NE(trained, exact);
  // Four steps, each adding an error of 0.01 at most (unet_test.cpp) to values of size 1.
  test::expect_close(trained, exact, 0, 0.1, "tf32 against f32");
  Outcome said;
  const auto cpu = samples("run", {}, &said);
  EXPECT_THAT(said.err, HasSubstr("trained in tf32; the CPU computes in f32"));
  EXPECT_EQ(cpu, samples("run", {"--precision", "f32"}, &said));
  EXPECT_THAT(said.err, testing::Not(HasSubstr("tf32")));
}
#endif

}  // namespace
}  // namespace haze::test
