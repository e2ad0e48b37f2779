// SPDX-License-Identifier: MIT
// classes_test.cpp — a class is the one that the user meant: folders counted as people count,
// names kept with the network, and runs that exist keep their numbers.
#include "apps/data/classes.h"

#include <nlohmann/json.hpp>

#include "apps/data/dataset.h"
#include "apps/image/png.h"
#include "engine/files/checkpoint.h"
#include "tests/apps/tiny_run.h"
#include "tests/support/data_files.h"

namespace haze::apps {
namespace {

using test::haze;
using test::Outcome;
using testing::HasSubstr;
using testing::Not;

TEST(Classes, CountAsPeopleDo) {
  const ClassNames sorted = {
      "",  "0", "00", "1",   "01", "2",   "9",    "10", "010", "100", "99999999999999999999999",
      "B", "a", "a1", "a1b", "a2", "a10", "a10b", "b",  "\xff"};
  for (std::size_t i = 0; i < sorted.size(); ++i)
    for (std::size_t j = 0; j < sorted.size(); ++j) {
      const auto zeros = [](std::string s) { return s.erase(0, s.find_first_not_of('0')); };
      if (zeros(sorted[i]) == zeros(sorted[j]) && i != j) continue;  // below
      EXPECT_EQ(natural_less(sorted[i], sorted[j]), i < j) << sorted[i] << " " << sorted[j];
    }
  EXPECT_NE(natural_less("1", "01"), natural_less("01", "1"));
  EXPECT_FALSE(natural_less("01", "01"));
}

TEST(Classes, ANameGoesBeforeANumber) {
  const ClassNames names = {"1", "2", "dog"};
  EXPECT_EQ(class_number("1", 3, names), 0);
  EXPECT_EQ(class_number("dog", 3, names), 2);
  EXPECT_EQ(class_number("0", 3, names), 0);
  EXPECT_EQ(class_number("3", 3, names), std::nullopt);
  EXPECT_EQ(class_number("dog", 2, names), std::nullopt);  // the network has two
  EXPECT_EQ(class_number("2", 3, {}), 2);
  EXPECT_EQ(class_text(2, names), "2 (dog)");
  EXPECT_EQ(class_text(7, names), "7");
  EXPECT_EQ(classes_text(10, {}), "0 to 9");
  EXPECT_EQ(classes_text(2, names), "0 (1), 1 (2)");
}

TEST(Classes, AreRenumberedByTheirNames) {
  std::vector<std::int32_t> labels = {0, 2, 2, 1};
  renumber(labels, {"a", "b", "c"}, {"c", "b", "x", "a"}, "it");
  EXPECT_EQ(labels, (std::vector<std::int32_t>{3, 0, 0, 1}));
  test::expect_refused(
      [&] {
        renumber(labels, {"a", "b", "c", "d"}, {"a", "b", "c"}, "it");
      },
      "it has the class 3 (d), which is none of 0 (a), 1 (b), 2 (c)");
  labels = {4};
  test::expect_refused([&] { renumber(labels, {"a"}, {"b"}, "it"); }, "it has the class 4");
}

/// Class folders 0 to 11, each of two flat pictures; folder "10" is white, the others are black.
struct TwelveFolders : test::TinyRun {
  TwelveFolders() {
    for (int folder = 0; folder < 12; ++folder)
      for (int k = 0; k < 2; ++k) {
        const test::Bytes pixels(64, folder == 10 ? 255 : 0);
        const test::Bytes png = encode_png({8, 8, 1, pixels});
        data.write(cat(folder, "/", k, ".png"), png);
      }
  }
  Outcome start(const std::vector<std::string>& more = {}) {
    std::vector<std::string> all = {"--data", "images:" + data.path, "--set",
                                    "model.num_classes=12"};
    all.insert(all.end(), more.begin(), more.end());
    return train("run", 2, all);
  }
  Outcome sample(const std::string& label) {
    return haze({"sample", "--checkpoint", at("run"), "--class", label, "--n", "1", "--sampler",
                 "ddim", "--steps", "2", "--out", at("a.png")});
  }
  test::DataFolder data;
};

TEST_F(TwelveFolders, AreNumberedAsTheyAreNamed) {
  const Dataset set = open_dataset("images:" + data.path, {.channels = 1});
  for (int i = 0; i < set.count; ++i)
    EXPECT_EQ(set.images[std::size_t(i) * 64] == 255, set.labels[std::size_t(i)] == 10) << i;
  EXPECT_EQ(set.class_names[2], "2");
  EXPECT_EQ(set.class_names[11], "11");
  const auto json = nlohmann::json::parse(haze({"data", "images:" + data.path, "--json"}).out);
  EXPECT_EQ(json["classes"][10]["name"], "10");
  EXPECT_EQ(json["classes"][10]["number"], 10);
}

TEST_F(TwelveFolders, NamesAreKeptInTheCheckpointAndSaidWithThePicture) {
  test::fs::rename(data / "10", data / "dog");
  const Outcome trained = start();
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_THAT(trained.err, HasSubstr("classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 (11), 11 (dog)"));
  const auto header = engine::read_checkpoint_header(engine::disk(), checkpoint("run", 2));
  EXPECT_EQ(header.meta.classes, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n11\ndog");
  const Outcome drawn = sample("dog");
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  EXPECT_THAT(drawn.err, HasSubstr(", class 11 (dog)"));
  const auto recipe = nlohmann::json::parse(haze({"info", at("a.png")}).out);
  EXPECT_EQ(recipe["classes"], nlohmann::json::array({11}));
  EXPECT_EQ(recipe["class_names"], nlohmann::json({{"11", "dog"}}));
  EXPECT_THAT(sample("11").err, HasSubstr(", class 10 (11)"));  // a name goes before a number
  const Outcome wrong = sample("dgo");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.last_error_line(), HasSubstr("did you mean dog?"));
}

TEST_F(TwelveFolders, AStepThatEndedTheRunIsRunAgainWithTheSameClasses) {
  const Outcome ended =
      train("run", 50,
            {"--data", "images:" + data.path, "--set", "model.num_classes=12", "--set",
             "train.learning_rate=1000000", "--set", "train.grad_clip=0"});
  ASSERT_EQ(ended.code, 1) << ended.err;
  const std::string line = ended.last_error_line(), before = "haze train --resume --out ";
  ASSERT_THAT(line, HasSubstr(before));
  const auto at = line.find(before) + before.size();
  const std::string folder = line.substr(at, line.find(';', at) - at);
  EXPECT_EQ(engine::newest_checkpoint_header(engine::disk(), folder)->meta.classes,
            "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11");
  const Outcome again = haze({"train", "--resume", "--out", folder});
  EXPECT_EQ(again.code, 1) << again.err;  // the step fails, and the data is what it was
  EXPECT_THAT(again.last_error_line(), HasSubstr("not a finite number"));
}

TEST_F(TwelveFolders, ARunFromBeforeNamesWereKeptGoesOnWithItsNumbers) {
  // What such a run left: no names in its checkpoint, and the fingerprint of bytewise numbers.
  ASSERT_EQ(start().code, 0);
  engine::Checkpoint old = engine::load_checkpoint(engine::disk(), checkpoint("run", 2));
  old.meta.classes.clear();
  old.meta.dataset = open_dataset("images:" + data.path,
                                  {.height = 8, .width = 8, .channels = 1, .order = {{}, true}})
                         .fingerprint;
  std::vector<engine::CheckpointTensor> tensors;
  for (const auto& t : old.tensors) tensors.push_back({t.name, t.shape, t.values});
  test::fs::remove(checkpoint("run", 2));
  engine::CheckpointWriter(engine::disk(), at("run")).save(old.meta, tensors);

  EXPECT_THAT(sample("2").err, HasSubstr(", class 2\n"));  // numbers only: no name is known
  EXPECT_THAT(sample("dog").last_error_line(), HasSubstr("--class: dog; 0 to 11"));
  const Outcome on = haze({"train", "--resume", "--out", at("run"), "--steps", "3"});
  ASSERT_EQ(on.code, 0) << on.err;
  EXPECT_THAT(on.err, HasSubstr("classes: 0, 1, 2 (10), 3 (11), 4 (2)"));
  const auto header = engine::read_checkpoint_header(engine::disk(), checkpoint("run", 3));
  EXPECT_TRUE(header.meta.classes.starts_with("0\n1\n10\n11\n2\n"));
  EXPECT_THAT(sample("10").err, HasSubstr(", class 2 (10)"));
}

TEST_F(TwelveFolders, AnotherFolderIsCountedByTheNamesOfTheNetwork) {
  ASSERT_EQ(start().code, 0);
  // A test set without the classes 0 and 1: by its own count, folder 2 would be class 0.
  test::fs::remove_all(data / "0");
  test::fs::remove_all(data / "1");
  const Dataset whole = open_dataset("images:" + data.path, {.order = {{"0", "1", "2", "3"}}});
  EXPECT_EQ(whole.labels[0], 10);  // folder "10": 0 to 3 are named, there or not, the others follow
  const std::vector<std::string> nll = {
      "eval",      "--checkpoint", at("run"),     "--data", "images:" + data.path,
      "--metrics", "nll",          "--nll-times", "2",      "--json"};
  EXPECT_EQ(haze(nll).code, 0);
  test::fs::rename(data / "5", data / "cat");
  const Outcome unknown = haze(nll);
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.last_error_line(),
              HasSubstr("has the class 9 (cat), which is none of 0 to 11"));
}

}  // namespace
}  // namespace haze::apps
