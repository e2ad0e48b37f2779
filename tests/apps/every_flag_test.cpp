// SPDX-License-Identifier: MIT
// every_flag_test.cpp — every flag of every subcommand changes what it is for: were it read and
// then ignored, its case here would be red. A flag that means nothing where it is given is refused,
// which shows too. What the flags of `haze bench` do is in cli_test.cpp.
#include <cstring>
#include <set>

#include "apps/image/png.h"
#include "engine/files/safetensors.h"
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using Strings = std::vector<std::string>;
using testing::HasSubstr;
using testing::Not;

/// "@name" stands for a file in the test's folder.
struct Case {
  Strings flag;           // with its value; takes the place of the same flag in the base
  Strings more = {};      // goes with it, to the base too
  std::string says = {};  // only this in standard error shows it
};

class EveryFlag : public TinyRun {
 protected:
  EveryFlag() {
    for (const char* run : {"run", "again"}) {
      const Outcome got = train(run, 2,
                                {"--set", "model.num_classes=10", "--set", "diffusion.clip_x0=true",
                                 "--set", "train.checkpoint_every=1"});
      EXPECT_EQ(got.code, 0) << got.err;
    }
    for (const char* folder : {"bad", "single"}) fs::create_directory(at(folder));
    write_png("single/00000.png", 8, 0);
    write_png("bad/a.png", 8, 0);
    write(at("bad/b.png"), "no picture");
    write_png("mask.png", 8, 0);
    write_png("white.png", 8, 255);
    std::vector<float> noise(2 * 64, 0.5f);
    engine::write_safetensors(engine::disk(), at("noise.safetensors"),
                              {{"x_T", {2, 1, 8, 8}, noise.data()}});
  }

  void write_png(const std::string& name, int side, int value) const {
    const auto png = apps::encode_png(
        {side, side, 1, std::vector<std::uint8_t>(std::size_t(side * side), std::uint8_t(value))});
    write(at(name), std::string(png.begin(), png.end()));
  }

  Strings placed(const Strings& arguments) const {
    Strings all;
    for (std::string a : arguments) {
      if (const auto p = a.find('@'); p != a.npos && (p == 0 || a[p - 1] == ':'))
        a.replace(p, 1, at(""));
      all.push_back(a);
    }
    return all;
  }

  /// What a command leaves: its exit code, standard output without what only repeats the options,
  /// and the files that it makes under "made", pictures as pixels, tensors without their header.
  std::string observed(const Strings& arguments, std::string* err = nullptr) const {
    fs::remove_all(at("made"));
    const Outcome got = haze(placed(arguments));
    std::string seen = std::to_string(got.code) + "\n";
    for (const std::string& line : lines(got.out)) {
      bool echo = false;
      for (const char* key : {"\"from\"", "\"count\"", "\"subsets\"", "\"size\"", "\"directions\"",
                              "\"features\"", "\"seed\"", "\"epochs\""})
        echo |= line.find(key) != line.npos;
      if (!echo) seen += line + "\n";
    }
    if (got.code == 2) seen += got.last_error_line();
    if (err) *err = got.err;
    if (!fs::exists(at("made"))) return seen;
    std::set<std::string> files;
    for (const auto& file : fs::recursive_directory_iterator(at("made")))
      if (file.is_regular_file()) files.insert(file.path());
    for (const std::string& path : files) {
      seen += path + "\n";
      const std::string bytes = contents(path);
      const std::span png(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
      if (path.ends_with(".png")) {
        const auto pixels = apps::decode_png(png, path).pixels;
        seen += std::string(pixels.begin(), pixels.end());
        if (!apps::png_recipe(png, path)) seen += "no recipe\n";
      } else if (path.ends_with(".safetensors")) {
        std::uint64_t header = 0;
        std::memcpy(&header, bytes.data(), sizeof header);
        seen += bytes.substr(std::size_t(8 + header));
      }
    }
    return seen;
  }

  void expect_each_counts(const Strings& command, const Strings& base,
                          const std::vector<Case>& cases,
                          const std::set<std::string>& in_another_test = {}) const {
    std::set<std::string> tested = in_another_test;
    for (const Case& c : cases) {
      tested.insert(c.flag[0]);
      Strings without = command;
      without.insert(without.end(), base.begin(), base.end());
      for (const Strings& one : pairs(c.more)) without = changed(without, one);
      const Strings with = changed(without, c.flag);
      std::string err_without, err_with;
      const std::string a = observed(without, &err_without), b = observed(with, &err_with);
      if (c.says.empty()) {
        EXPECT_FALSE(a == b) << command[0] << ' ' << c.flag[0] << " changes nothing: " << err_with;
      } else {
        EXPECT_THAT(err_without, Not(HasSubstr(c.says))) << command[0] << ' ' << c.flag[0];
        EXPECT_THAT(err_with, HasSubstr(c.says)) << command[0] << ' ' << c.flag[0];
      }
    }
    EXPECT_EQ(tested, listed(command[0])) << command[0] << ": the flags with a case, and those of "
                                          << "--help; those of every subcommand left out";
  }

  /// "--a 1 --b --c 2" flag by flag.
  static std::vector<Strings> pairs(const Strings& flags) {
    std::vector<Strings> all;
    for (const std::string& word : flags)
      if (word.starts_with("-"))
        all.push_back({word});
      else
        all.back().push_back(word);
    return all;
  }
  /// The arguments with a flag added, or in the place of the same one.
  static Strings changed(const Strings& arguments, const Strings& flag) {
    Strings all;
    for (std::size_t i = 0; i < arguments.size(); ++i)
      if (arguments[i] != flag[0])
        all.push_back(arguments[i]);
      else
        ++i;  // its value
    all.insert(all.end(), flag.begin(), flag.end());
    return all;
  }

  /// The flags that a subcommand's help lists, less those that all have.
  static std::set<std::string> listed(const std::string& command) {
    std::set<std::string> flags;
    const std::string help = haze({command, "--help"}).out;
    for (const std::string& line : lines(help.substr(help.find("Usage: ")))) {
      const auto at = line.find("--");
      if (line.starts_with("  -")) flags.insert(line.substr(at, line.find_first_of(" ,", at) - at));
    }
    for (const char* common :
         {"--help", "--quiet", "--verbose", "--color", "--no-progress", "--log-file"})
      EXPECT_EQ(flags.erase(common), 1u) << command << ' ' << common;
    return flags;
  }
};

std::vector<Case> operator+(std::vector<Case> a, const std::vector<Case>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// In bf16 a fused op rounds less often than its parts.
const std::vector<Case> kComputing = {{{"--device", "cuda:99"}},
                                      {{"--threads", "2"}, {"-v"}, ", 2 threads"},
                                      {{"--fusion", "off"}, {"-v"}, "fused ops as their parts"}};
const std::vector<Case> kSampling = {
    {{"--checkpoint", "@run/checkpoints/step-00000001.safetensors"}},
    {{"--weights", "raw"}},
    {{"--n", "3"}},
    {{"--seed", "5"}},
    {{"--sampler", "dpmpp"}},
    {{"--steps", "7"}},
    {{"--eta", "1"}, {"--sampler", "ddim"}},
    {{"--spacing", "trailing"}},
    {{"--class", "3"}},
};
const std::vector<Case> kGuiding = {
    {{"--guidance", "20"}, {"--class", "3"}},
    {{"--guidance-rescale", "1"}, {"--class", "3", "--guidance", "20"}}};

TEST_F(EveryFlag, OfTrainCounts) {
  expect_each_counts(
      {"train"}, {"--config", "@tiny.json", "--out", "@made/run", "--steps", "2"},
      std::vector<Case>{{{"--config", "@run/config.json"}},
                        {{"--set", "train.learning_rate=0.1"}},
                        {{"--data", "synthetic:digits:65"}},
                        {{"--skip-bad"}, {"--data", "images:@bad"}},
                        {{"--out", "@made/other"}},
                        {{"--resume"}, {"--config", "@run/config.json", "--out", "@run"}},
                        {{"--overwrite"}, {"--out", "@again"}},
                        {{"--steps", "3"}},
                        {{"--seed", "4"}},
                        {{"--precision", "bf16"}},
                        {{"--dry-run"}},
                        {{"--print-config"}},
                        {{"--device", "cuda:99"}},
                        {{"--threads", "2"}, {}, ", 2 threads"},
                        {{"--fusion", "off"}, {"--precision", "bf16"}}});
}

TEST_F(EveryFlag, OfSampleCounts) {
  expect_each_counts({"sample"},
                     {"--checkpoint", "@run", "--n", "2", "--steps", "4", "--out", "@made/g.png",
                      "--save-tensors", "@made/s.safetensors"},
                     kSampling + kGuiding + kComputing +
                         std::vector<Case>{{{"--noise", "@noise.safetensors"}},
                                           {{"--out", "@made/other.png"}},
                                           {{"--save-tensors", "@made/t.safetensors"}},
                                           {{"--animation", "@made/film.png"}},
                                           {{"--overwrite"}, {"--out", "@single/"}},
                                           {{"--no-metadata"}},
                                           {{"--fusion", "off"}, {"--precision", "bf16"}},
                                           {{"--batch", "1"}, {}, "batch 2 of 2"},
                                           {{"--precision", "bf16"}}});
}

TEST_F(EveryFlag, OfEditCounts) {
  const std::string image = "synthetic:digits:64@7";
  const Strings common = {"--checkpoint", "@run", "--image", image,
                          "--steps",      "6",    "--out",   "@made/e.png"};
  Strings vary = common;
  vary.insert(vary.end(), {"--n", "2"});
  const Strings inpaint = {"--mask", "@mask.png"};
  expect_each_counts({"edit", "vary"}, vary,
                     kSampling + kGuiding + kComputing +
                         std::vector<Case>{{{"--image", "synthetic:digits:64@9"}},
                                           {{"--mask", "@mask.png"}},  // refused
                                           {{"--jump", "2"}},          // refused
                                           {{"--repeats", "2"}},       // refused
                                           {{"--strength", "0.9"}},
                                           {{"--out", "@made/other.png"}},
                                           {{"--no-metadata"}},
                                           {{"--batch", "1"}, {}, "batch 2 of 2"},
                                           {{"--precision", "bf16"}}});
  const auto painted = [&](const Strings& more) {
    Strings all = {"edit", "inpaint"};
    all.insert(all.end(), common.begin(), common.end());
    all.insert(all.end(), more.begin(), more.end());
    return observed(all);
  };
  const std::string seen = painted({"--mask", "@white.png", "--n", "2"});
  EXPECT_NE(painted({"--mask", "@mask.png", "--n", "2"}), seen);
  EXPECT_NE(painted({"--mask", "@white.png", "--n", "2", "--jump", "2"}), seen);
  EXPECT_NE(painted({"--mask", "@white.png", "--n", "2", "--repeats", "2"}), seen);
}

TEST_F(EveryFlag, OfPointsCounts) {
  write(at("points.json"), R"({"model": {"type": "point_mlp", "hidden": 16},
    "diffusion": {"steps": 20}, "data": {"spec": "points:s_curve:200"},
    "train": {"batch_size": 64, "learning_rate": 0.01, "steps": 2, "ema_decay": 0.9,
              "checkpoint_every": 1, "sample_every": 0}})");
  fs::remove_all(at("run"));
  ASSERT_EQ(haze({"train", "--config", at("points.json"), "--out", at("run")}).code, 0);
  expect_each_counts({"points"},
                     {"--checkpoint", "@run", "--n", "60", "--steps", "5", "--out", "@made/p.png"},
                     kSampling + kComputing +
                         std::vector<Case>{{{"--guidance", "2"}},          // refused: no classes
                                           {{"--guidance-rescale", "1"}},  // refused
                                           {{"--out", "@made/other.png"}},
                                           {{"--panels", "@made/panels.png"}},
                                           {{"--json"}},
                                           {{"--no-metadata"}},
                                           {{"--batch", "30"}, {}, "batch 2 of 2"}});
}

TEST_F(EveryFlag, OfEvalCounts) {
  ASSERT_EQ(haze({"classifier", "--data", "synthetic:digits:60", "--size", "8x8", "--epochs", "1",
                  "--out", at("c.safetensors")})
                .code,
            0);
  expect_each_counts(
      {"eval"},
      {"--checkpoint", "@run", "--data", "synthetic:digits:40", "--n", "12", "--steps", "3",
       "--subset-size", "4", "--subsets", "3", "--directions", "5", "--json"},
      kSampling + kGuiding + kComputing +
          std::vector<Case>{{{"--samples", "synthetic:digits:40"}},
                            {{"--data", "synthetic:digits:41"}},
                            {{"--label", "3"}},
                            {{"--data-n", "20"}},
                            {{"--metrics", "kid,swd"}},
                            {{"--features", "classifier:@c.safetensors"}},
                            {{"--classifier", "@c.safetensors"}},  // refused
                            {{"--subsets", "4"}},
                            {{"--subset-size", "5"}},
                            {{"--directions", "6"}},
                            {{"--nll-times", "5"}},  // refused without nll
                            {{"--batch", "6"}, {}, "batch 2 of 2"},
                            {{"--precision", "bf16"}}},
      {"--json"});
}

TEST_F(EveryFlag, OfClassifierCounts) {
  expect_each_counts({"classifier"},
                     {"--data", "synthetic:digits:60", "--size", "8x8", "--epochs", "1", "--out",
                      "@made/c.safetensors", "--batch", "32"},
                     std::vector<Case>{{{"--data", "synthetic:digits:61"}},
                                       {{"--size", "12x12"}},
                                       {{"--test", "synthetic:digits:50"}},
                                       {{"--epochs", "2"}},
                                       {{"--batch", "16"}},
                                       {{"--learning-rate", "0.01"}},
                                       {{"--seed", "2"}},
                                       {{"--out", "@made/other.safetensors"}},
                                       {{"--json"}},
                                       {{"--device", "cuda:99"}},
                                       {{"--threads", "2"}, {}, ", 2 threads"},
                                       {{"--fusion", "off"}, {"-v"}, "fused ops as their parts"}});
}

TEST_F(EveryFlag, OfVerifyCounts) {
  const std::string fixtures = test::source_dir() + "/tests/fixtures/labml_one_level";
  expect_each_counts(
      {"verify"},
      {"--config", fixtures + ".json", "--weights", fixtures + ".weights.safetensors", "--fixture",
       fixtures + ".forward.safetensors"},
      std::vector<Case>{{{"--config", "@tiny.json"}},
                        {{"--weights", fixtures + ".trained.safetensors"}},
                        {{"--fixture", fixtures + ".grad.safetensors"}},
                        {{"--expect", fixtures + ".trained.safetensors"}},
                        {{"--output", "@made/out.safetensors"}},
                        {{"--json"}},
                        {{"--precision", "bf16"}}} +
          kComputing);
}

TEST_F(EveryFlag, OfExportDataAndInfoCount) {
  expect_each_counts({"export"}, {"--checkpoint", "@run", "--out", "@made/w.safetensors"},
                     {{{"--checkpoint", "@run/checkpoints/step-00000001.safetensors"}},
                      {{"--weights", "raw"}},
                      {{"--out", "@made/other.safetensors"}}});
  expect_each_counts({"data", "synthetic:digits:30"}, {"--out", "@made/d.png"},
                     {{{"--label", "3"}},
                      {{"--size", "14x14"}},
                      {{"--channels", "3"}},  // refused: they are grey
                      {{"--skip-bad"}},       // refused: they are no files
                      {{"--out", "@made/other.png"}},
                      {{"--json"}}});
  EXPECT_EQ(haze({"data", "images:" + at("bad"), "--skip-bad"}).code, 0);
  expect_each_counts({"info"}, {},
                     {{{"--config", "@tiny.json"}},
                      {{"--set", "model.n_channels=16"}, {"--config", "@tiny.json"}},
                      {{"--keys"}},
                      {{"--schema"}},
                      {{"--json"}}});
}

}  // namespace
}  // namespace haze::test
