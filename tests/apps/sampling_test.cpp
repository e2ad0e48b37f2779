// SPDX-License-Identifier: MIT
// sampling_test.cpp — `haze sample`, `export` and `verify` on a trained tiny network.
#include <nlohmann/json.hpp>
#include <set>

#include "apps/image/png.h"
#include "apps/version.h"
#include "engine/files/safetensors.h"
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using engine::SafetensorsReader;
using testing::AllOf;
using testing::HasSubstr;

class Trained : public TinyRun {
 protected:
  Trained() { trained_ = train("run", 3); }
  void SetUp() override { ASSERT_EQ(trained_.code, 0) << trained_.err; }

  Outcome sample(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {"sample", "--checkpoint", at("run"), "--out", at("g.png")};
    all.insert(all.end(), more.begin(), more.end());
    return haze(all);
  }
  std::vector<std::uint8_t> pixels(const std::vector<std::string>& more) const {
    const Outcome got = sample(more);
    EXPECT_EQ(got.code, 0) << got.err;
    const std::string png = contents(at("g.png"));
    return apps::decode_png({reinterpret_cast<const std::uint8_t*>(png.data()), png.size()},
                            "g.png")
        .pixels;
  }
  Outcome trained_;
};

TEST_F(Trained, AnImageDependsOnSeedAndNumberOnly) {
  for (const char* sampler : {"ddpm", "ddim"}) {
    const std::vector<std::string> common = {"--sampler", sampler, "--n",   "5",
                                             "--steps",   "10",    "--seed"};
    const auto with = [&](std::vector<std::string> more) {
      more.insert(more.begin(), common.begin(), common.end());
      return pixels(more);
    };
    const auto one = with({"7", "--batch", "1"});
    EXPECT_EQ(with({"7", "--batch", "3"}), one) << sampler;
    EXPECT_EQ(with({"7", "--batch", "16"}), one) << sampler;
    EXPECT_NE(with({"8", "--batch", "16"}), one) << sampler;
  }
}

TEST_F(Trained, TensorsAreInPyTorchsLayoutAndThePictureSaysHowItWasMade) {
  const Outcome got = sample({"--n", "3", "--sampler", "ddim", "--steps", "4", "--seed", "9",
                              "--save-tensors", at("t.safetensors")});
  ASSERT_EQ(got.code, 0) << got.err;
  EXPECT_EQ(got.out, at("g.png") + "\n" + at("t.safetensors") + "\n");
  const SafetensorsReader file(engine::disk(), at("t.safetensors"));
  EXPECT_EQ(file.at("samples").shape, (std::vector<std::int64_t>{3, 1, 8, 8}));
  const std::string png = contents(at("g.png"));
  const auto recipe = nlohmann::json::parse(
      apps::png_recipe({reinterpret_cast<const std::uint8_t*>(png.data()), png.size()}, "g.png")
          .value());
  EXPECT_EQ(recipe["seed"], 9);
  EXPECT_EQ(recipe["sampler"], "ddim");
  EXPECT_EQ(recipe["steps"], 4);
  EXPECT_EQ(recipe["count"], 3);
  EXPECT_EQ(recipe["run"], "run");
  EXPECT_EQ(recipe["weights"], "ema");
  EXPECT_THAT(haze({"sample", "--checkpoint", checkpoint("run", 3), "--n", "1", "--steps", "2",
                    "--out", "-"})
                  .out,
              testing::StartsWith("\x89PNG"));
}

TEST_F(Trained, InfoTellsHowAPictureWasMade) {
  ASSERT_EQ(sample({"--n", "2", "--steps", "3", "--seed", "4"}).code, 0);
  const Outcome told = haze({"info", at("g.png")});
  ASSERT_EQ(told.code, 0) << told.err;
  const auto recipe = nlohmann::json::parse(told.out);
  EXPECT_EQ(recipe["seed"], 4);
  EXPECT_THAT(std::string(recipe["haze"]), testing::StartsWith(apps::version()));
  const SafetensorsReader file(engine::disk(), checkpoint("run", 3));
  EXPECT_EQ(recipe["checkpoint_xxh3"], file.metadata().at("header_hash"));
  ASSERT_EQ(sample({"--n", "2", "--steps", "3", "--no-metadata"}).code, 0);
  for (const char* name : {"g.png", "tiny.json", "none.png"})
    EXPECT_EQ(haze({"info", at(name)}).code, 2) << name;
  EXPECT_THAT(haze({"info", at("g.png")}).err, HasSubstr("nothing in it says how it was made"));
  // Of a foreign file, no command to the terminal.
  const auto png = apps::encode_png({1, 1, 1, {0}}, "{\"a\": \"\033[2J\"}");
  write(at("g.png"), std::string(png.begin(), png.end()));
  EXPECT_EQ(haze({"info", at("g.png")}).out, "{\"a\": \"\\x1b[2J\"}\n");
}

TEST_F(Trained, EachImageAsAFileOfItsOwn) {
  const auto all = pixels({"--n", "3", "--steps", "3"});
  fs::create_directory(at("there"));
  for (const auto& [out, second] : {std::pair{"new/", "new/00001.png"},
                                    {"there", "there/00001.png"},
                                    {"a-%d.png", "a-1.png"},
                                    {"b/%03d-x.png", "b/001-x.png"}}) {
    const Outcome got =
        haze({"sample", "--checkpoint", at("run"), "--n", "3", "--steps", "3", "--out", at(out)});
    ASSERT_EQ(got.code, 0) << got.err;
    const auto files = lines(got.out);
    ASSERT_EQ(files.size(), 3u);
    EXPECT_TRUE(fs::equivalent(files[1], at(second))) << files[1];
    const std::string png = contents(files[1]);
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(png.data()), png.size());
    const apps::Image one = apps::decode_png(bytes, second);
    ASSERT_EQ(one.width, 8);
    for (int y = 0; y < 8; ++y)  // the second of a row of two
      for (int x = 0; x < 8; ++x)
        EXPECT_EQ(one.pixels[std::size_t(y * 8 + x)], all[std::size_t(y * 18 + 10 + x)]);
    EXPECT_EQ(nlohmann::json::parse(apps::png_recipe(bytes, second).value())["index"], 1);
  }
  for (const char* out : {"%", "%x.png", "%5", "%d%d.png", "%99d.png"})
    EXPECT_THAT(haze({"sample", "--checkpoint", at("run"), "--n", "1", "--out", at(out)}).err,
                HasSubstr("one %d or %05d"))
        << out;
  EXPECT_THAT(
      haze({"sample", "--checkpoint", at("run"), "--steps", "2,3", "--out", at("%d.png")}).err,
      HasSubstr("one picture for all of a comparison"));
}

TEST_F(Trained, StandardOutputTakesOneThing) {
  const Outcome piped = sample({"--n", "1", "--steps", "2", "--save-tensors", "-"});
  ASSERT_EQ(piped.code, 0) << piped.err;
  ASSERT_EQ(sample({"--n", "1", "--steps", "2", "--save-tensors", at("t.safetensors")}).code, 0);
  EXPECT_TRUE(piped.out == contents(at("t.safetensors")));
  const Outcome weights = haze({"export", "--checkpoint", at("run"), "--out", "-"});
  ASSERT_EQ(haze({"export", "--checkpoint", at("run"), "--out", at("w.safetensors")}).code, 0);
  EXPECT_TRUE(weights.out == contents(at("w.safetensors")));
  EXPECT_THAT(haze({"sample", "--checkpoint", at("run"), "--out", "-", "--save-tensors", "-"}).err,
              HasSubstr("- given more than once"));
  EXPECT_THAT(haze({"data", "synthetic:digits:9", "--json", "--out", "-"}).err,
              HasSubstr("--json: given with --out -"));
}

TEST_F(Trained, GivenNoiseIsUsed) {
  std::vector<float> noise(2 * 64);
  for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = std::sin(float(i));
  engine::write_safetensors(engine::disk(), at("noise.safetensors"),
                            {{"x_T", {2, 1, 8, 8}, noise.data()}});
  const std::vector<std::string> given = {"--n",     "2", "--sampler", "ddim",
                                          "--steps", "5", "--noise",   at("noise.safetensors"),
                                          "--seed"};
  const auto with = [&](const char* seed) {
    auto all = given;
    all.push_back(seed);
    return pixels(all);
  };
  EXPECT_EQ(with("1"), with("2"));
  const Outcome wrong = sample({"--n", "3", "--noise", at("noise.safetensors")});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.last_error_line(), HasSubstr("[3,1,8,8]"));
}

TEST_F(Trained, ExportWritesTheNetworksOwnNames) {
  for (const char* weights : {"ema", "raw"}) {
    ASSERT_EQ(haze({"export", "--checkpoint", at("run"), "--weights", weights, "--out",
                    at("w.safetensors")})
                  .code,
              0);
    const SafetensorsReader file(engine::disk(), at("w.safetensors"));
    const SafetensorsReader whole(engine::disk(), checkpoint("run", 3));
    const std::string prefix = std::string(weights) == "ema" ? "ema." : "model.";
    std::set<std::string> got, want;
    for (const auto& entry : file.tensors()) got.insert(prefix + entry.name);
    for (const auto& entry : whole.tensors())
      if (entry.name.starts_with(prefix)) want.insert(entry.name);
    EXPECT_EQ(got, want);
    EXPECT_TRUE(got.count(prefix + "down.0.res.conv1.weight"));
    EXPECT_EQ(file.at("image_proj.weight").shape, (std::vector<std::int64_t>{8, 1, 3, 3}));
    EXPECT_EQ(file.read_f32(file.at("final.weight")),
              whole.read_f32(whole.at(prefix + "final.weight")));
  }
  ASSERT_EQ(train("plain", 1, {"--set", "train.ema_decay=0"}).code, 0);
  const Outcome none = haze(
      {"export", "--checkpoint", at("plain"), "--weights", "ema", "--out", at("x.safetensors")});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.last_error_line(), HasSubstr("--weights raw"));
  EXPECT_EQ(haze({"export", "--checkpoint", at("plain"), "--out", at("x.safetensors")}).code, 0);
}

TEST_F(Trained, VerifyAgreesWithItselfAndSeesADifference) {
  ASSERT_EQ(haze({"export", "--checkpoint", at("run"), "--out", at("w.safetensors")}).code, 0);
  std::vector<float> x(2 * 64, 0.25f), eps(2 * 64, 0.0f);
  const std::int64_t t[2] = {3, 11};
  const auto record = [&](const std::string& name) {
    engine::write_safetensors(
        engine::disk(), at(name),
        {{"x", {2, 1, 8, 8}, x.data()}, {"t", {2}, t, "I64"}, {"eps", {2, 1, 8, 8}, eps.data()}});
  };
  const auto verify = [&](const std::string& fixture) {
    return haze({"verify", "--config", at("tiny.json"), "--weights", at("w.safetensors"),
                 "--fixture", at(fixture), "--output", at("out.safetensors"), "--json"});
  };
  record("zeros.safetensors");
  const Outcome differs = verify("zeros.safetensors");
  EXPECT_EQ(differs.code, 1) << differs.err;
  EXPECT_EQ(nlohmann::json::parse(differs.out)["ok"], false);

  const SafetensorsReader computed(engine::disk(), at("out.safetensors"));
  eps = computed.read_f32(computed.at("eps"));
  record("right.safetensors");
  const Outcome agrees = verify("right.safetensors");
  EXPECT_EQ(agrees.code, 0) << agrees.err;
  const auto json = nlohmann::json::parse(agrees.out);
  EXPECT_EQ(json["record"], "forward");
  EXPECT_EQ(json["tensors"][0]["name"], "eps");

  eps[5] = NAN;
  record("nan.safetensors");
  EXPECT_EQ(verify("nan.safetensors").code, 1);
  x[0] = NAN, eps[5] = 0;
  record("nan-x.safetensors");
  EXPECT_NE(verify("nan-x.safetensors").code, 0);
  EXPECT_EQ(haze({"verify", "--config", at("tiny.json"), "--weights", at("zeros.safetensors"),
                  "--fixture", at("right.safetensors")})
                .code,
            2);
}

}  // namespace
}  // namespace haze::test
