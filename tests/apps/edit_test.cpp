// SPDX-License-Identifier: MIT
// edit_test.cpp — classes, guidance, samplers side by side, and `haze edit`, on a tiny network.
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/image/grid.h"
#include "apps/image/png.h"
#include "engine/files/safetensors.h"
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using testing::HasSubstr;

class Conditional : public TinyRun {
 protected:
  Conditional() {
    trained_ =
        train("run", 3, {"--set", "model.num_classes=10", "--set", "diffusion.clip_x0=true"});
  }
  void SetUp() override { ASSERT_EQ(trained_.code, 0) << trained_.err; }

  Outcome run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--checkpoint", at("run"), "--out", at("g.png")});
    return haze(arguments);
  }
  apps::Image picture(const std::vector<std::string>& arguments) const {
    const Outcome got = run(arguments);
    EXPECT_EQ(got.code, 0) << got.err;
    return read(at("g.png"));
  }
  apps::Image read(const std::string& path) const {
    const std::string png = contents(path);
    return apps::decode_png({reinterpret_cast<const std::uint8_t*>(png.data()), png.size()}, path);
  }
  void write_png(const std::string& name, const apps::Image& image) const {
    const auto png = apps::encode_png(image);
    write(at(name), std::string(png.begin(), png.end()));
  }
  Outcome trained_;
};

TEST_F(Conditional, EveryOptionChangesTheImages) {
  const std::vector<std::string> common = {"sample", "--n", "4", "--steps", "6"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), common.begin(), common.end());
    return picture(more).pixels;
  };
  std::vector<std::vector<std::uint8_t>> seen = {
      with({}),
      with({"--sampler", "ddim"}),
      with({"--sampler", "dpmpp"}),
      with({"--sampler", "heun"}),
      with({"--sampler", "ddim", "--spacing", "leading"}),
      with({"--sampler", "ddim", "--spacing", "trailing"}),
      with({"--sampler", "ddim", "--eta", "0.5"}),
      with({"--class", "3"}),
      with({"--class", "each"}),
      with({"--class", "3", "--guidance", "20"}),
      with({"--class", "3", "--guidance", "20", "--guidance-rescale", "1"})};
  for (std::size_t i = 0; i < seen.size(); ++i)
    for (std::size_t k = 0; k < i; ++k) EXPECT_NE(seen[i], seen[k]) << i << ' ' << k;
  EXPECT_EQ(with({"--class", "none"}), seen[0]);
}

TEST_F(Conditional, SamplersSideBySideAreTheRowsOfOnePicture) {
  const apps::Image all = picture({"sample", "--sampler", "all", "--steps", "2,5", "--n", "3"});
  EXPECT_EQ(all.width, 3 * 8 + 2 * 2);   // three images and their gutters
  EXPECT_EQ(all.height, 8 * 8 + 7 * 2);  // four samplers, two lengths
  const apps::Image one = picture({"sample", "--sampler", "dpmpp", "--steps", "5", "--n", "3"});
  // Row 5 is dpmpp with five steps: its first image is the grid's first.
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 8; ++x)
      EXPECT_EQ(all.pixels[std::size_t((5 * 10 + y) * all.width + x)],
                one.pixels[std::size_t(y * one.width + x)]);
}

TEST_F(Conditional, PicturesSayHowTheyWereMade) {
  const auto recipe = [&](const std::vector<std::string>& arguments) {
    picture(arguments);
    const std::string png = contents(at("g.png"));
    return nlohmann::json::parse(
        apps::png_recipe({reinterpret_cast<const std::uint8_t*>(png.data()), png.size()}, "g.png")
            .value());
  };
  const auto rows = recipe({"sample", "--sampler", "all", "--steps", "2,3", "--n", "1"});
  EXPECT_EQ(rows["rows"].size(), 8u);
  EXPECT_EQ(rows["rows"][3], "ddim 3");
  const auto vary = recipe({"edit", "vary", "--image", "synthetic:digits:64@7", "--n", "2",
                            "--class", "4", "--guidance", "2"});
  EXPECT_EQ(vary["edit"], "vary");
  EXPECT_EQ(vary["classes"], (std::vector<int>{4, 4}));
  EXPECT_EQ(vary["guidance"], 2);
  EXPECT_EQ(vary["strength"], 0.5);
  EXPECT_EQ(vary["init"][0], "synthetic:digits:64@7");
  EXPECT_FALSE(recipe({"sample", "--n", "1"}).contains("edit"));
}

TEST_F(Conditional, SolversTakeTheStartOfARecordWithNoise) {
  std::vector<float> noise(6 * 64);
  for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = std::sin(float(i));
  engine::write_safetensors(
      engine::disk(), at("z.safetensors"),
      {{"x_T", {1, 1, 8, 8}, noise.data()}, {"z", {5, 1, 1, 8, 8}, noise.data() + 64}});
  for (const char* sampler : {"ddpm", "heun", "dpmpp"}) {  // five steps; heun calls nine times
    const std::vector<std::string> five = {"sample", "--n",       "1",    "--steps",
                                           "5",      "--sampler", sampler};
    auto given = five;
    given.insert(given.end(), {"--noise", at("z.safetensors")});
    EXPECT_NE(picture(given).pixels, picture(five).pixels) << sampler;
  }
}

TEST_F(Conditional, InpaintingKeepsWhatIsBlackInTheMaskToTheByte) {
  apps::Image image{8, 8, 1, {}}, mask{8, 8, 1, {}};
  for (int i = 0; i < 64; ++i) {
    image.pixels.push_back(std::uint8_t(37 * i));
    mask.pixels.push_back(i % 8 < 5 ? 0 : 255);
  }
  write_png("image.png", image);
  write_png("mask.png", mask);
  const apps::Image got = picture({"edit", "inpaint", "--image", at("image.png"), "--mask",
                                   at("mask.png"), "--n", "3", "--steps", "6", "--jump", "2"});
  ASSERT_EQ(got.width, 4 * 8 + 3 * 2);  // what was given, then three
  int changed = 0;
  for (int k = 0; k < 4; ++k)
    for (int i = 0; i < 64; ++i) {
      const auto now = got.pixels[std::size_t(i / 8 * got.width + k * 10 + i % 8)];
      if (k == 0 || i % 8 < 5)
        EXPECT_EQ(now, image.pixels[std::size_t(i)]) << k << ' ' << i;
      else
        changed += now != image.pixels[std::size_t(i)];
    }
  EXPECT_GT(changed, 36);  // most of 3x24
}

TEST_F(Conditional, EditsShowWhatWasGivenAndWhatWasMadeOfIt) {
  const std::string image = "synthetic:digits:64@7", other = "synthetic:digits:64@9";
  const auto width = [](int n) { return n * 8 + (n - 1) * 2; };
  const apps::Image vary =
      picture({"edit", "vary", "--image", image, "--strength", "0.3", "--n", "4"});
  EXPECT_EQ(vary.width, width(5));
  EXPECT_NE(picture({"edit", "vary", "--image", image, "--strength", "0.9", "--n", "4"}).pixels,
            vary.pixels);
  EXPECT_EQ(picture({"edit", "interpolate", "--image", image, "--image", other, "--n", "5"}).width,
            width(7));
  const apps::Image back =
      picture({"edit", "reconstruct", "--image", image, "--image", other, "--steps", "20"});
  EXPECT_EQ(back.width, width(2));
  EXPECT_EQ(back.height, width(2));  // given above, reconstructed below
}

TEST_F(Conditional, SaysWhatDoesNotFit) {
  const auto fails = [&](std::vector<std::string> arguments, const std::string& text) {
    const Outcome got = run(arguments);
    EXPECT_EQ(got.code, 2) << got.err;
    EXPECT_THAT(got.last_error_line(), HasSubstr(text));
  };
  fails({"sample", "--class", "10"}, "--class: 10; 0 to 9, each or none");
  fails({"sample", "--class", "three"}, "--class: three; 0 to 9");
  fails({"sample", "--guidance", "2"}, "--guidance: 2; it needs --class");
  fails({"sample", "--class", "3", "--guidance-rescale", "0.5"},
        "--guidance-rescale: 0.5; it takes back part of a --guidance other than 1");
  const std::string image = "synthetic:digits:64@1";
  fails({"edit", "inpaint", "--image", image, "--mask", "m.png", "--strength", "0.5"},
        "--strength: given with inpaint; it belongs to the other edits");
  for (const char* none : {"0", "1.5", "nan"})
    fails({"edit", "vary", "--image", image, "--strength", none},
          std::string("--strength: ") + none + "; a number from 0.001 to 1");
  fails({"edit", "vary", "--image", image, "--jump", "5"}, "--jump: given with vary");
  fails({"edit", "vary", "--image", image, "--repeats", "5"}, "it belongs to inpaint");
  fails({"edit", "inpaint", "--image", image, "--mask", "m.png", "--jump", "3", "--repeats", "1"},
        "--jump: given with --repeats 1");
  fails({"edit", "inpaint", "--image", image, "--mask", "m.png", "--sampler", "heun"},
        "--sampler: heun; inpaint goes back and forth with ddpm or ddim");
  fails({"edit", "reconstruct", "--image", image, "--n", "3"}, "--n: given with reconstruct");
  fails({"edit", "reconstruct", "--image", image, "--seed", "3"}, "--seed: given with reconstruct");
  fails({"sample", "--guidance-rescale", "2"}, "--guidance-rescale: 2; a number from 0 to 1");
  fails({"sample", "--eta", "1"}, "--eta: 1; it belongs to --sampler ddim");
  fails({"sample", "--sampler", "ddim", "--eta", "1.2"}, "--eta: 1.2; a number from 0 to 1");
  fails({"sample", "--steps", "21"}, "--steps: 21; at most the chain's 20");
  fails({"sample", "--steps", "5,x"}, "--steps: 5,x; whole numbers from 1");
  fails({"sample", "--sampler", "euler"}, "--sampler: euler; one of ddpm, ddim, dpmpp");
  fails({"edit", "vary"}, "--image: not given");
  fails({"edit", "vary", "--image", "synthetic:digits:64@64"}, "the data set has 64 images");
  fails({"edit", "vary", "--image", at("none.png")}, "none.png");
  fails({"edit", "interpolate", "--image", "synthetic:digits:64@1"},
        "--image: 1 given; interpolate takes 2");
  fails({"edit", "inpaint", "--image", "synthetic:digits:64@1"}, "--mask: not given");
  fails({"edit", "vary", "--image", "synthetic:digits:64@1", "--mask", "m.png"},
        "--mask: m.png; it belongs to inpaint");
  fails({"edit", "reconstruct", "--image", "synthetic:digits:64@1", "--sampler", "ddpm"},
        "a reconstruction takes ddim");
  write_png("mask.png", {4, 8, 1, std::vector<std::uint8_t>(32)});
  fails({"edit", "inpaint", "--image", "synthetic:digits:64@1", "--mask", at("mask.png")},
        "4x8 pixels (height x width); 8x8, the network's size");
  write_png("small.png", {4, 8, 1, std::vector<std::uint8_t>(32)});
  fails({"edit", "vary", "--image", at("small.png")}, "4x8 pixels (height x width); at least 8x8");
}

TEST_F(TinyRun, ClassesMustBeThoseOfTheDataAndOfTheNetwork) {
  const Outcome few = train("few", 2, {"--set", "model.num_classes=3"});
  EXPECT_EQ(few.code, 2);
  EXPECT_THAT(few.last_error_line(), HasSubstr("model.num_classes: 3; synthetic:digits:64 has 10"));
  ASSERT_EQ(train("plain", 2).code, 0);
  const Outcome none = haze({"sample", "--checkpoint", at("plain"), "--class", "3"});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.last_error_line(), HasSubstr("--class: 3; the network is unconditional"));
  EXPECT_THAT(haze({"sample", "--checkpoint", at("plain"), "--guidance-rescale", "0.5"}).err,
              HasSubstr("--guidance-rescale: 0.5; the network is unconditional"));
}

TEST_F(TinyRun, ImportanceSampledRunsResumeToTheSameBytes) {
  const std::vector<std::string> more = {"--set", "train.timesteps=importance",
                                         "--set", "model.self_condition=true",
                                         "--set", "train.ema_warmup=true"};
  ASSERT_EQ(train("whole", 60, more).code, 0);
  ASSERT_EQ(train("halves", 30, more).code, 0);
  auto resumed = more;
  resumed.push_back("--resume");
  const Outcome second = train("halves", 60, resumed);
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_EQ(contents(checkpoint("halves", 60)), contents(checkpoint("whole", 60)));
}

}  // namespace
}  // namespace haze::test
