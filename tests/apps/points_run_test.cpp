// SPDX-License-Identifier: MIT
// points_run_test.cpp — a model of 2-D points from training to its measured samples.
#include <nlohmann/json.hpp>

#include "apps/image/png.h"
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using testing::HasSubstr;

class PointModel : public TinyRun {
 protected:
  PointModel() {
    write(at("points.json"), R"({
      "model": {"type": "point_mlp", "hidden": 32},
      "diffusion": {"steps": 30, "schedule": "sigmoid", "beta_start": 0.00001, "beta_end": 0.1},
      "data": {"spec": "points:s_curve:2000"},
      "train": {"batch_size": 128, "steps": 3000, "learning_rate": 0.003, "lr_decay": "cosine",
                "timesteps": "antithetic", "ema_decay": 0.99, "checkpoint_every": 0,
                "sample_every": 0, "log_every": 1000}})");
  }
  Outcome run(const std::string& out, std::vector<std::string> more = {}) const {
    std::vector<std::string> all = {"train", "--config", at("points.json"), "--out", at(out)};
    all.insert(all.end(), more.begin(), more.end());
    return haze(all);
  }
  apps::Image picture(const std::string& name) const {
    const std::string png = contents(at(name));
    return apps::decode_png({reinterpret_cast<const std::uint8_t*>(png.data()), png.size()}, name);
  }
};

// x_T is 0.9 away from the curve on average; a small network of a short chain and 3000 steps comes
// within 0.08, the data itself being at 0.008.
TEST_F(PointModel, TrainsSamplesAndIsMeasured) {
  ASSERT_EQ(run("run", {"--set", "train.sample_every=3000"}).code, 0);
  EXPECT_EQ(picture("run/samples/step-00003000.png").width, 512);
  const auto config = nlohmann::json::parse(contents(at("run/config.json")));
  EXPECT_EQ(config["model"]["image_channels"], 2);
  EXPECT_EQ(config["data"]["image_size"], (std::vector{1, 1}));

  const Outcome got = haze({"points", "--checkpoint", at("run"), "--n", "2000", "--json", "--out",
                            at("p.png"), "--panels", at("chain.png")});
  ASSERT_EQ(got.code, 0) << got.err;
  const auto fit = nlohmann::json::parse(got.out);
  EXPECT_EQ(fit["count"], 2000);
  EXPECT_LT(fit["mean_distance"], 0.08);
  double all = 0;
  for (const double share : fit["shares"]) all += share;
  EXPECT_NEAR(all, 1, 1e-9);
  EXPECT_EQ(picture("p.png").width, 512);
  const apps::Image chain = picture("chain.png");
  EXPECT_EQ(std::vector({chain.height, chain.width}), std::vector({3 * 96 + 8, 10 * 96 + 36}));

  const auto distance = [&](const std::vector<std::string>& more) -> double {
    std::vector<std::string> command = {"points", "--checkpoint", at("run"), "--n",
                                        "200",    "--json",       "--out",   at("q.png")};
    command.insert(command.end(), more.begin(), more.end());
    return nlohmann::json::parse(haze(command).out)["mean_distance"];
  };
  EXPECT_EQ(distance({"--batch", "7"}), distance({"--batch", "200"}));
  EXPECT_NE(distance({"--seed", "1"}), distance({"--seed", "2"}));
  EXPECT_NE(distance({"--weights", "raw"}), distance({"--weights", "ema"}));
  EXPECT_EQ(haze({"sample", "--checkpoint", at("run"), "--n", "50", "--out", at("s.png")}).code, 0);
  EXPECT_EQ(picture("s.png").width, 512);
}

// 7 steps make 7 frames, 120 make 50; the first is what plain programs show.
// Read back in animation_test.cpp.
TEST_F(PointModel, TheChainAsAnAnimation) {
  ASSERT_EQ(train("images", 1, {"--set", "diffusion.steps=120"}).code, 0);
  for (const auto& [steps, frames] : {std::pair{7, 7}, {120, 50}}) {
    const Outcome got =
        haze({"sample", "--checkpoint", at("images"), "--n", "4", "--steps", std::to_string(steps),
              "--batch", "1", "--out", at("g.png"), "--animation", at("film.png")});
    ASSERT_EQ(got.code, 0) << got.err;
    EXPECT_EQ(got.out, at("g.png") + "\n" + at("film.png") + "\n");
    EXPECT_EQ(picture("film.png").width, picture("g.png").width);
    const std::string png = contents(at("film.png"));
    int found = 0;
    for (std::size_t p = png.find("fcTL"); p != png.npos; p = png.find("fcTL", p + 1)) ++found;
    EXPECT_EQ(found, frames);
  }
  const Outcome two = haze({"sample", "--checkpoint", at("images"), "--steps", "5,6", "--out",
                            at("g.png"), "--animation", at("film.png")});
  EXPECT_EQ(two.code, 2);
  EXPECT_THAT(two.err, HasSubstr("--animation: "));
}

// t and T-1-t in turn is another run than t drawn for each; a run that goes on is the same run.
TEST_F(PointModel, DrawsTimesAsAskedAndResumes) {
  const auto weights = [&](const std::string& out, std::vector<std::string> more) {
    const Outcome got = run(out, more);
    EXPECT_EQ(got.code, 0) << got.err;
    return contents(got.out.substr(0, got.out.size() - 1));
  };
  const auto once = weights("a", {"--steps", "8"});
  EXPECT_EQ(weights("b", {"--steps", "8"}), once);
  EXPECT_NE(weights("c", {"--steps", "8", "--set", "train.timesteps=uniform"}), once);
  run("d", {"--steps", "5"});
  const Outcome resumed = run("d", {"--steps", "8", "--resume"});
  EXPECT_THAT(resumed.err, HasSubstr("resumed at step 5"));
}

TEST_F(PointModel, RefusesWhatDoesNotFit) {
  const auto refused = [&](const std::vector<std::string>& command, const std::string& why) {
    const Outcome got = haze(command);
    EXPECT_EQ(got.code, 2) << why;
    EXPECT_THAT(got.err, HasSubstr(why));
  };
  const auto with = [&](const std::string& set) {
    return std::vector<std::string>{"train",     "--config", at("points.json"),
                                    "--dry-run", "--set",    set};
  };
  refused(with("data.spec=synthetic:digits"), "image channels: 2; 1 (grey) and 3 (RGB)");
  refused(with("data.image_size=[4,4]"), "point_mlp takes 2-D points");
  refused(with("model.n_channels=8"), "a key of labml_unet, but model.type is \"point_mlp\"");
  refused(with("data.label=upper"), "this data set has no classes");
  refused({"train", "--config", at("tiny.json"), "--dry-run", "--set", "model.hidden=8"},
          "a key of point_mlp, linear_denoiser");
  refused({"points", "--checkpoint", at("none"), "--json", "--out", "-"}, "--json: given with");
  refused({"points", "--checkpoint", at("none"), "--panels", "-", "--out", "-"}, "takes one thing");
  refused(with("train.flip=true"), "train.flip: true; it counts only where the data are images");
  ASSERT_EQ(train("images", 1).code, 0);
  refused({"points", "--checkpoint", at("images")}, "haze points is for models of 2-D points");
}

}  // namespace
}  // namespace haze::test
