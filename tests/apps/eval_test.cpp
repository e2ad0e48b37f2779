// SPDX-License-Identifier: MIT
// eval_test.cpp — `haze classifier` and `haze eval` on a tiny network
// and digits drawn by the program.
#include <nlohmann/json.hpp>

#include "engine/files/safetensors.h"
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using testing::HasSubstr;
using Arguments = std::vector<std::string>;

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class Eval : public TinyRun {
 protected:
  nlohmann::json json(const Arguments& arguments) const {
    const Outcome got = haze(arguments + Arguments{"--json"});
    EXPECT_EQ(got.code, 0) << got.err;
    return got.code == 0 ? nlohmann::json::parse(got.out) : nlohmann::json();
  }
  void expect_wrong_use(const Arguments& arguments, const std::string& text) const {
    const Outcome got = haze(arguments);
    EXPECT_EQ(got.code, 2) << text << got.err;
    EXPECT_THAT(got.last_error_line(), HasSubstr(text));
    EXPECT_EQ(got.out, "");
  }
  void classifier(const std::string& name) const {
    const Outcome got = haze({"classifier", "--data", "synthetic:digits:400", "--epochs", "2",
                              "--batch", "32", "--out", at(name)});
    ASSERT_EQ(got.code, 0) << got.err;
    EXPECT_THAT(got.out, testing::StartsWith("accuracy 0."));
    EXPECT_THAT(got.out, HasSubstr("of 40 test images)\n" + at(name) + "\n"));
  }
};

TEST_F(Eval, AClassifierLearnsDigitsAndJudgesThem) {
  classifier("c.safetensors");
  // Images that it has not seen, and their own labels: far above the 10 % of chance.
  const Arguments judge = {"eval", "--samples", "synthetic:digits:700", "--n",
                           "500",  "--metrics", "class-accuracy"};
  const auto seen = json(judge + Arguments{"--classifier", at("c.safetensors")});
  EXPECT_GT(double(seen["class-accuracy"]["accuracy"]), 0.5);
  EXPECT_EQ(seen["class-accuracy"]["asked"], 500);
  EXPECT_EQ(seen["class-accuracy"]["classes"].size(), 10u);
  EXPECT_EQ(seen["samples"]["count"], 500);
  EXPECT_EQ(json(judge + Arguments{"--features", "classifier:" + at("c.safetensors")}), seen);
  // Its features tell digits from shapes of other digits' pixels less well than from themselves.
  const auto near =
      json({"eval", "--samples", "synthetic:digits:200", "--data", "synthetic:digits:400",
            "--features", "classifier:" + at("c.safetensors"), "--metrics", "frechet,swd"});
  const auto far = json({"eval", "--samples", "synthetic:digits:200", "--data",
                         "synthetic:digits:400", "--label", "3", "--features",
                         "classifier:" + at("c.safetensors"), "--metrics", "frechet,swd"});
  EXPECT_GT(double(far["frechet"]), 2 * double(near["frechet"]));
  EXPECT_GT(double(far["swd"]["distance"]), 2 * double(near["swd"]["distance"]));
  EXPECT_FALSE(near.contains("kid"));

  expect_wrong_use({"eval", "--samples", "synthetic:shapes:20", "--data", "synthetic:shapes:20",
                    "--features", "classifier:" + at("c.safetensors")},
                   "it takes images of 28x28x1; samples are 32x32x3");
  expect_wrong_use({"classifier", "--data", "points:moons:50", "--out", at("x.safetensors")},
                   "points are not");
  expect_wrong_use({"classifier", "--data", "synthetic:digits:9", "--out", at("x.safetensors")},
                   "at least 10");
  expect_wrong_use({"classifier", "--out", at("x.safetensors")}, "--data: not given");
  expect_wrong_use({"classifier", "--data", "synthetic:digits:50"}, "--out: not given");
  expect_wrong_use({"classifier", "--data", "synthetic:digits:50", "--test", "synthetic:shapes:50",
                    "--out", at("x.safetensors")},
                   "has 3 channels; asked for: 1");
}

TEST_F(Eval, AClassifiersFileIsReadBackAndOthersAreRefused) {
  classifier("c.safetensors");
  const engine::SafetensorsReader file(engine::disk(), at("c.safetensors"));
  EXPECT_EQ(file.metadata().at("height"), "28");
  EXPECT_EQ(file.metadata().at("data"), "synthetic:digits:400");
  EXPECT_EQ(file.at("conv.0.weight").shape, (std::vector<std::int64_t>{32, 1, 3, 3}));
  const auto eval = [&](const std::string& features) {
    return Arguments{"eval",   "--samples",           "synthetic:digits:20",
                     "--data", "synthetic:digits:20", "--features",
                     features};
  };
  const float one = 1;
  engine::write_safetensors(engine::disk(), at("other.safetensors"), {{"w", {1}, &one}});
  expect_wrong_use(eval("classifier:" + at("other.safetensors")), "not a classifier of haze");
  engine::SafetensorsMetadata metadata = file.metadata();
  metadata["classes"] = "10x";
  engine::write_safetensors(engine::disk(), at("bad.safetensors"), {{"w", {1}, &one}}, metadata);
  expect_wrong_use(eval("classifier:" + at("bad.safetensors")), "metadata classes: \"10x\"");
  metadata["classes"] = "10";
  engine::write_safetensors(engine::disk(), at("bad.safetensors"), {{"w", {1}, &one}}, metadata);
  expect_wrong_use(eval("classifier:" + at("bad.safetensors")), "1 extra: w [1]");
  expect_wrong_use(eval("pixel"), "--features: pixel; pixels, classifier:FILE or inception:FILE");
  expect_wrong_use(eval("classifier:" + at("none")), "none");
  expect_wrong_use(eval("inception:" + at("other.safetensors")),
                   "other.safetensors: inception: missing: Conv2d_1a_3x3.conv.weight");
}

TEST_F(Eval, ACheckpointsSamplesAreMeasuredAndEveryOptionCounts) {
  ASSERT_EQ(train("run", 3).code, 0);
  const Arguments base = {"eval",
                          "--checkpoint",
                          at("run"),
                          "--data",
                          "synthetic:digits:90",
                          "--n",
                          "30",
                          "--steps",
                          "4",
                          "--subset-size",
                          "8",
                          "--subsets",
                          "5",
                          "--directions",
                          "6"};
  const auto one = json(base);
  for (const char* key : {"frechet", "kid", "swd"}) EXPECT_TRUE(one.contains(key)) << key;
  EXPECT_GT(double(one["frechet"]), 0);
  EXPECT_EQ(one["features"], "pixels");
  EXPECT_EQ(one["kid"]["size"], 8);
  EXPECT_EQ(one["swd"]["directions"], 6);
  EXPECT_EQ(json(base + Arguments{"--batch", "7"})["samples"], one["samples"]);
  const auto differs = [&](const Arguments& more, const nlohmann::json::json_pointer& where) {
    const auto other = json(base + more);
    EXPECT_NE(other.at(where), one.at(where)) << more[0];
  };
  using Pointer = nlohmann::json::json_pointer;
  differs({"--seed", "5"}, Pointer("/frechet"));
  differs({"--sampler", "ddim"}, Pointer("/frechet"));
  differs({"--data-n", "40"}, Pointer("/frechet"));
  differs({"--label", "4"}, Pointer("/frechet"));
  differs({"--weights", "raw"}, Pointer("/frechet"));

  // The samples that haze sample saves are the same ones.
  ASSERT_EQ(haze({"sample", "--checkpoint", at("run"), "--n", "30", "--steps", "4", "--out",
                  at("g.png"), "--save-tensors", at("s.safetensors")})
                .code,
            0);
  const auto saved =
      json({"eval", "--samples", at("s.safetensors"), "--data", "synthetic:digits:90",
            "--subset-size", "8", "--subsets", "5", "--directions", "6"});
  for (const char* key : {"frechet", "kid", "swd", "data"}) EXPECT_EQ(saved[key], one[key]) << key;

  const Outcome table = haze(base);
  EXPECT_THAT(table.out, testing::StartsWith("samples         30: "));
  EXPECT_THAT(table.out, HasSubstr("\nkid             "));
  expect_wrong_use(base + Arguments{"--metrics", "fid"}, "--metrics: fid; some of frechet, kid");
  expect_wrong_use(base + Arguments{"--metrics", "class-accuracy"}, "it needs --classifier FILE");
  expect_wrong_use(base + Arguments{"--samples", at("s.safetensors")}, "one of the two");
  const Arguments only = {"eval", "--checkpoint", at("run"), "--data", "synthetic:digits:90", "--n",
                          "30"};
  expect_wrong_use(only + Arguments{"--subset-size", "31", "--steps", "2"},
                   "KID subsets of 31 images; 2 to 30");
  expect_wrong_use(only + Arguments{"--steps", "21"}, "--steps: 21");
  // Flags that would say nothing.
  expect_wrong_use({"eval", "--samples", "synthetic:digits:9", "--data", "synthetic:digits:9",
                    "--sampler", "ddim"},
                   "--sampler: given with --samples; those images are there already");
  expect_wrong_use(only + Arguments{"--metrics", "nll"},
                   "--n: given with --metrics nll; it draws no samples");
  expect_wrong_use(only + Arguments{"--metrics", "swd", "--subsets", "3"}, "they belong to kid");
  expect_wrong_use(only + Arguments{"--metrics", "kid", "--directions", "3"}, "belong to swd");
  expect_wrong_use(only + Arguments{"--metrics", "class-accuracy", "--classifier", "c"},
                   "--data: given with --metrics class-accuracy; it looks at samples alone");
  expect_wrong_use({"eval", "--checkpoint", at("run"), "--data", "synthetic:digits:9", "--metrics",
                    "nll", "--features", "classifier:c"},
                   "--features: given with other --metrics; distances are taken in them");
  expect_wrong_use({"eval", "--checkpoint", at("run")}, "--data: not given");
  expect_wrong_use({"eval", "--data", "synthetic:digits:90"}, "--checkpoint: not given");
  expect_wrong_use({"eval", "--samples", at("nowhere"), "--data", "synthetic:digits:90"},
                   "no such file or folder");
}

TEST_F(Eval, ClassesThatWereAskedForAreHeldAgainstTheClassifiers) {
  ASSERT_EQ(haze({"classifier", "--data", "synthetic:digits:200", "--size", "8x8", "--epochs", "1",
                  "--out", at("c.safetensors")})
                .code,
            0);
  ASSERT_EQ(train("run", 2, {"--set", "model.num_classes=10"}).code, 0);
  const Arguments base = {"eval",
                          "--checkpoint",
                          at("run"),
                          "--n",
                          "25",
                          "--steps",
                          "2",
                          "--metrics",
                          "class-accuracy",
                          "--classifier",
                          at("c.safetensors")};
  const auto each = json(base + Arguments{"--class", "each"})["class-accuracy"];
  EXPECT_EQ(each["asked"], 25);
  EXPECT_EQ(each["classes"][4]["asked"], 3);
  EXPECT_EQ(each["classes"][5]["asked"], 2);
  const auto one = json(base + Arguments{"--class", "7", "--guidance", "2"});
  EXPECT_EQ(one["class-accuracy"]["classes"][7]["asked"], 25);
  EXPECT_THAT(std::string(one["samples"]["from"]), HasSubstr("class 7, guidance 2"));
  expect_wrong_use(base, "the samples have no classes");
  expect_wrong_use(base + Arguments{"--class", "10"}, "--class: 10; 0 to 9");
  expect_wrong_use(
      {"eval", "--checkpoint", at("run"), "--data", "synthetic:digits:20", "--steps", "2,3"},
      "--steps: 2,3; one number; haze sample compares several");
  // Labels of the data condition the likelihood.
  const auto nll = [&](const std::string& data) {
    return json({"eval", "--checkpoint", at("run"), "--data", data, "--metrics", "nll"})["nll"];
  };
  EXPECT_TRUE(nll("synthetic:digits:6")["bits_per_dim"].is_number());
}

TEST_F(Eval, TheLikelihoodOfATestSetIsReportedTermByTerm) {
  ASSERT_EQ(train("run", 3).code, 0);
  const Arguments base = {"eval",      "--checkpoint", at("run"),   "--data", "synthetic:digits:12",
                          "--metrics", "nll",          "--threads", "1"};
  const auto all = json(base);
  const auto& nll = all["nll"];
  ASSERT_EQ(nll["terms"].size(), 20u);
  double sum = nll["prior"];
  for (std::size_t t = 0; t < 20; ++t) {
    EXPECT_EQ(nll["terms"][t]["t"], t);
    EXPECT_TRUE(nll["terms"][t]["bits_per_dim"].is_number()) << t;  // a NaN would be null
    EXPECT_TRUE(nll["terms"][t]["x0_error"].is_number()) << t;
    sum += double(nll["terms"][t]["bits_per_dim"]);
  }
  EXPECT_NEAR(sum, double(nll["bits_per_dim"]), 1e-9);
  EXPECT_FALSE(all.contains("samples"));  // none were drawn
  EXPECT_EQ(all["data"]["count"], 12);
  EXPECT_NEAR(double(json(base + Arguments{"--batch", "5"})["nll"]["bits_per_dim"]), sum, 1e-4);
  for (const Arguments& more :
       {Arguments{"--seed", "3"}, {"--weights", "raw"}, {"--data-n", "6"}, {"--nll-times", "5"}})
    EXPECT_NE(json(base + more)["nll"]["bits_per_dim"], nll["bits_per_dim"]) << more[0];
  EXPECT_EQ(json(base + Arguments{"--nll-times", "5"})["nll"]["terms"].size(), 5u);
  const std::string table = haze(base + Arguments{"--nll-times", "5"}).out;
  EXPECT_THAT(table, HasSubstr(" bits/dim, estimated from 5 of 20 times\n  prior "));
  EXPECT_THAT(table, HasSubstr("\n  t 18-19 "));
  expect_wrong_use(base + Arguments{"--nll-times", "21"}, "1 to the chain's 20");
  expect_wrong_use({"eval", "--samples", "synthetic:digits:5", "--data", "synthetic:digits:5",
                    "--metrics", "nll"},
                   "it is a number of a network");
  expect_wrong_use(
      {"eval", "--checkpoint", at("run"), "--data", "synthetic:digits:5", "--nll-times", "4"},
      "--nll-times: given without --metrics nll");
}

TEST_F(Eval, GreyPicturesInAFolderAreHeldAgainstGreyData) {
  ASSERT_EQ(train("run", 2).code, 0);
  const std::string folder = at("grey") + "/";
  ASSERT_EQ(haze({"sample", "--checkpoint", at("run"), "--n", "12", "--steps", "2", "--sampler",
                  "ddim", "--out", folder, "--save-tensors", at("s.safetensors")})
                .code,
            0);
  const auto judge = [&](const std::string& samples) {
    return json({"eval", "--samples", samples, "--data", "synthetic:digits:30", "--metrics",
                 "frechet"})["frechet"];
  };
  EXPECT_EQ(judge(folder), judge(at("s.safetensors")));  // the same bytes
  EXPECT_THAT(haze({"data", "images:" + folder}).err, HasSubstr("all images are grey"));
  expect_wrong_use({"eval", "--samples", "synthetic:shapes:20", "--data", "synthetic:digits:30"},
                   "has 1 channel; asked for: 3");
}

TEST_F(Eval, SamplesThatAreNotFiniteStopIt) {
  std::vector<float> values(3 * 28 * 28, 0.5f);
  values[2 * 28 * 28] = NAN;
  engine::write_safetensors(engine::disk(), at("nan.safetensors"),
                            {{"samples", {3, 1, 28, 28}, values.data()}});
  const Outcome got =
      haze({"eval", "--samples", at("nan.safetensors"), "--data", "synthetic:digits:10"});
  EXPECT_EQ(got.code, 1);
  EXPECT_THAT(got.last_error_line(), HasSubstr("image 2 has a value that is nan"));
  // Without a range in the file, -1 to 1; with one, that.
  values[2 * 28 * 28] = 0.5f;
  const auto distance = [&](const engine::SafetensorsMetadata& metadata) {
    engine::write_safetensors(engine::disk(), at("s.safetensors"),
                              {{"samples", {3, 1, 28, 28}, values.data()}}, metadata);
    return json({"eval", "--samples", at("s.safetensors"), "--data", "synthetic:digits:10",
                 "--metrics", "frechet"})["frechet"];
  };
  EXPECT_NE(distance({{"range", "0,1"}}), distance({}));
  EXPECT_EQ(distance({{"range", "-1,1"}}), distance({}));
}

}  // namespace
}  // namespace haze::test
