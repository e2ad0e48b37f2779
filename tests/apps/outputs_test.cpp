// SPDX-License-Identifier: MIT
// outputs_test.cpp — results go where they point, what cannot work is said before the work, and
// nothing of the user's is lost.
#include <sys/stat.h>

#include "apps/image/grid.h"
#include "apps/image/png.h"
#include "engine/files/safetensors.h"
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using Arguments = std::vector<std::string>;

class Outputs : public TinyRun {
 protected:
  void SetUp() override {
    const Outcome got = train("run", 2);
    ASSERT_EQ(got.code, 0) << got.err;
  }
  Outcome sample(const Arguments& more) const {
    Arguments all = {"sample", "--checkpoint", at("run"), "--n", "3", "--steps", "2"};
    all.insert(all.end(), more.begin(), more.end());
    return haze(all);
  }
  /// Refused before anything was drawn, with that text, and the folder as it was.
  void expect_refused(const Arguments& command, const std::string& why) const {
    const auto before = names();
    const Outcome got = haze(command);
    EXPECT_EQ(got.code, 2) << got.err;
    EXPECT_THAT(got.last_error_line(), HasSubstr(why));
    EXPECT_THAT(got.err, Not(HasSubstr(" seed "))) << "work was begun";
    EXPECT_THAT(got.err, Not(HasSubstr("drawing")));
    EXPECT_EQ(names(), before) << why;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(at(""))) all.push_back(entry.path());
    std::ranges::sort(all);
    return all;
  }
};

TEST_F(Outputs, APipeGetsThePictureAndALinkStays) {
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  const int reader = ::open(at("pipe").c_str(), O_RDWR | O_NONBLOCK);  // room for a small picture
  ASSERT_EQ(sample({"--out", at("pipe")}).code, 0);
  std::string got(1 << 16, '\0');
  got.resize(std::size_t(::read(reader, got.data(), got.size())));
  ::close(reader);
  EXPECT_TRUE(fs::is_fifo(at("pipe")));
  fs::create_directory(at("elsewhere"));
  fs::create_symlink("elsewhere/target.png", at("link.png"));
  const Outcome linked = sample({"--out", at("link.png")});
  ASSERT_EQ(linked.code, 0) << linked.err;
  EXPECT_TRUE(fs::is_symlink(at("link.png")));
  EXPECT_TRUE(got == contents(at("elsewhere/target.png")));
  // Standard output by its other name: the picture and nothing else.
  EXPECT_TRUE(sample({"--out", "/dev/stdout"}).out == got);
  EXPECT_TRUE(sample({"--out", "/proc/self/fd/1"}).out == got);
}

TEST_F(Outputs, AnInputIsNotWrittenOver) {
  const std::string file = checkpoint("run", 2), whole = contents(file);
  fs::create_hard_link(file, at("same.safetensors"));
  fs::create_symlink(file, at("also.safetensors"));
  for (const std::string& out : {file, at("same.safetensors"), at("also.safetensors")}) {
    expect_refused({"export", "--checkpoint", file, "--out", out}, "it is --checkpoint " + file);
    expect_refused(
        {"sample", "--checkpoint", file, "--n", "1", "--save-tensors", out, "--out", at("x.png")},
        "--save-tensors: " + out + "; it is --checkpoint");
  }
  expect_refused({"export", "--checkpoint", at("run"), "--out", file},
                 "it is a part of --checkpoint " + at("run"));
  expect_refused({"sample", "--checkpoint", at("run"), "--log-file", at("run/metrics.jsonl")},
                 "it is a part of --checkpoint");
  expect_refused({"info", "--config", at("tiny.json"), "--log-file", at("tiny.json")},
                 "--log-file: " + at("tiny.json") + "; it is --config");
  expect_refused(arguments("new", 1, {"--log-file", at("new/log.txt")}), "is written by");
  fs::create_directories(at("photos/deep"));
  for (const char* name : {"photos/a.png", "photos/deep/b.png"}) {
    const auto png = apps::encode_png({8, 8, 1, std::vector<std::uint8_t>(64)});
    write(at(name), std::string(png.begin(), png.end()));
    expect_refused({"data", "images:" + at("photos"), "--out", at(name)},
                   "it is a part of SPEC images:");
    expect_refused(
        {"edit", "vary", "--checkpoint", at("run"), "--image", at(name), "--out", at(name)},
        "it is --image");
    expect_refused({"edit", "vary", "--checkpoint", at("run"), "--image",
                    "images:" + at("photos") + "@0", "--out", at(name)},
                   "it is a part of --image");
  }
  expect_refused(
      {"sample", "--checkpoint", at("run"), "--out", at("a.png"), "--animation", at("./a.png")},
      "it is written by --out too");
  EXPECT_TRUE(contents(file) == whole);
  // What lies in a run's folder and is not the run's is the user's.
  EXPECT_EQ(sample({"--out", at("run/grid.png")}).code, 0);
  EXPECT_EQ(sample({"--out", at("run/grid.png")}).code, 0);
}

TEST_F(Outputs, WhatCannotBeWrittenIsSaidBeforeTheWork) {
  fs::create_directory(at("folder.png"));
  const auto sampled = [&](const Arguments& more, const std::string& why) {
    Arguments all = {"sample", "--checkpoint", at("run")};
    all.insert(all.end(), more.begin(), more.end());
    expect_refused(all, why);
  };
  for (const char* name : {"x.jpg", "x", "x.webp", "x.safetensors"})
    sampled({"--out", at(name)}, "it will be a PNG file: a name that ends in .png");
  sampled({"--save-tensors", at("x.bin")}, "a name that ends in .safetensors");
  sampled({"--animation", at("x.gif")}, "--animation: " + at("x.gif"));
  sampled({"--out", at("tiny.json/x.png")}, "--out: cannot write");
  sampled({"--animation", at("folder.png")}, "a folder; a file's name is needed");
  sampled({"--out", at(std::string(300, 'n') + ".png")}, "File name too long");
  // Two rows of PNGs' largest width: known from the numbers alone.
  sampled({"--n", "110000", "--steps", "1,1", "--out", at("wide.png")},
          "a picture of 1099998x18 pixels; a PNG has at most 1000000 on a side");
  sampled({"--steps", "2,5000"}, "--steps: 5000; at most the chain's 20");
  for (const char* name : {"made/", "made/x.bin"})
    expect_refused({"export", "--checkpoint", at("run"), "--out", at(name)}, "--out: ");
  expect_refused({"eval", "--checkpoint", at("run"), "--data", "images:" + at("none"), "--n", "9"},
                 "none");
  expect_refused(
      {"eval", "--checkpoint", at("run"), "--data", "images:" + at("folder.png"), "--n", "9"},
      "no images");
  expect_refused({"eval", "--checkpoint", at("run"), "--data", "synthetic:digits:1"},
                 "data: 1 images; at least 2");
  expect_refused(
      {"eval", "--checkpoint", at("run"), "--data", "synthetic:digits:30", "--subset-size", "31"},
      "KID subsets of 31 images; 2 to 30");
  expect_refused({"classifier", "--data", "synthetic:digits:30", "--out", at("tiny.json")},
                 "a name that ends in .safetensors");
  expect_refused(arguments("tiny.json/run", 1), "--out: cannot write");
}

TEST_F(Outputs, ImagesOfAnEarlierCallAreNotMixedWithNewOnes) {
  const std::string out = at("d/");
  ASSERT_EQ(sample({"--out", out}).code, 0);
  expect_refused({"sample", "--checkpoint", at("run"), "--n", "1", "--out", out},
                 "3 images are there already, such as " + at("d/00000.png"));
  expect_refused({"sample", "--checkpoint", at("run"), "--n", "1", "--out", at("d/%02d.png")},
                 "--overwrite to replace them");
  const Outcome again = haze({"sample", "--checkpoint", at("run"), "--n", "2", "--steps", "2",
                              "--out", out, "--overwrite"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(again.out, at("d/00000.png") + "\n" + at("d/00001.png") + "\n");
  EXPECT_FALSE(fs::exists(at("d/00002.png")));
  ASSERT_EQ(sample({"--out", at("d/b-%d.png")}).code, 0);  // names of their own
  write(at("d/cat.PNG"), "the user's");
  for (const char* name : {"d/b-0.png", "d/b-1.png", "d/b-2.png"}) fs::remove(at(name));
  expect_refused({"sample", "--checkpoint", at("run"), "--n", "1", "--out", out, "--overwrite"},
                 "there are other images in it, such as cat.PNG");
  EXPECT_EQ(contents(at("d/cat.PNG")), "the user's");
}

TEST_F(Outputs, AFolderThatIsNoRunIsLeftAlone) {
  for (const char* name : {"run.json", "log.txt", "notes.md", "samples/mine.png"}) {
    fs::remove_all(at("mine"));
    fs::create_directories(at("mine/samples"));
    if (!std::string(name).starts_with("samples")) fs::remove(at("mine/samples"));
    write(at("mine/") + name, "the user's");
    write(at("mine/.notes.tmp.12"), "the user's");
    for (const Arguments& more : {Arguments{}, Arguments{"--resume"}, Arguments{"--overwrite"}})
      expect_refused(arguments("mine", 1, more), "there is no run of haze's in it, but ");
    EXPECT_EQ(contents(at("mine/") + name), "the user's");
  }
  fs::create_directories(at("fresh/checkpoints"));  // what a start that was killed at once leaves
  write(at("fresh/.keep"), "");
  EXPECT_EQ(train("fresh", 1).code, 0);
  write(at("fresh/notes.md"), "beside a run");
  write(at("fresh/.notes.tmp.12"), "beside a run");
  EXPECT_EQ(train("fresh", 2, {"--resume"}).code, 0);
  EXPECT_TRUE(fs::exists(at("fresh/.notes.tmp.12")));
}

TEST_F(Outputs, ARunFromElsewhereWritesIntoNothingElse) {
  write(at("victim"), "as it was\n");
  for (const char* name : {"log.txt", "metrics.jsonl", "run.json", "config.json"}) {
    fs::remove_all(at("foreign"));
    fs::copy(at("run"), at("foreign"), fs::copy_options::recursive);
    fs::remove(at("foreign/") + name);
    fs::create_symlink("../victim", at("foreign/") + name);
    expect_refused(arguments("foreign", 3, {"--resume"}), "a symbolic link");
    fs::remove(at("foreign/") + name);
    ASSERT_EQ(::mkfifo((at("foreign/") + name).c_str(), 0600), 0);
    expect_refused(arguments("foreign", 3, {"--resume"}), "a pipe");
  }
  fs::create_symlink("victim", at("log"));
  expect_refused(arguments("new", 1, {"--log-file", at("log")}), "a symbolic link");
  EXPECT_EQ(contents(at("victim")), "as it was\n");
  // A grid takes the place of a link, and does not follow it.
  fs::remove_all(at("foreign"));
  fs::copy(at("run"), at("foreign"), fs::copy_options::recursive);
  fs::create_directories(at("foreign/samples"));
  fs::create_symlink("../../victim", at("foreign/samples/step-00000003.png"));
  const Outcome got = train("foreign", 3, {"--resume", "--set", "train.sample_every=1"});
  EXPECT_EQ(got.code, 0) << got.err;
  EXPECT_EQ(contents(at("victim")), "as it was\n");
  EXPECT_FALSE(fs::is_symlink(at("foreign/samples/step-00000003.png")));
}

TEST_F(Outputs, NothingSaidCommandsTheTerminalOrLooksLikeAnotherLine) {
  const std::string evil =
      "\x1b]0;x\x07\nhaze: \xc2\x9b"
      "2J \x9b"
      "2J\x7f";
  const auto expect_plain = [&](const Outcome& got, const std::string& what) {
    for (const std::string& text : {got.out, got.err})
      for (std::size_t i = 0; i < text.size(); ++i) {
        const unsigned char c = static_cast<unsigned char>(text[i]);
        const bool c1 = c >= 0x80 && c < 0xA0 && (i == 0 || text[i - 1] == '\xC2');
        EXPECT_TRUE((c >= 0x20 || c == '\n') && c != 0x7f && c != 0x9b && !c1)
            << what << ": byte " << int(c) << " in: " << text;
      }
    EXPECT_THAT(got.out + got.err,
                AllOf(AnyOf(HasSubstr("\\x1b]0;x"), HasSubstr("\\u001b]0;x")),
                      Not(HasSubstr("\nhaze: \\x")), Not(HasSubstr("\nhaze: \xc2"))))
        << what;
  };
  const auto file = [&](const std::string& name, const std::string& text) {
    write(at(name), text);
    return at(name);
  };
  const std::string quoted = "\"\\u001b]0;x\\u0007\\nhaze: \\u009b2J\\u007f\"";
  for (const std::string& text : {"{" + quoted + ": {}}", "{\"model\": {" + quoted + ": 1}}",
                                  "{\"model\": {\"type\": " + quoted + "}}"})
    expect_plain(haze({"info", "--config", file("e.json", text)}), text);
  expect_plain(haze({"info", "--config", evil}), "--config");
  expect_plain(haze({evil}), "subcommand");
  expect_plain(haze({"sample", "--checkpoint", file("c" + evil, "x")}), "a checkpoint's name");
  expect_plain(sample({"--out", at("o" + evil + ".png")}), "--out");
  expect_plain(haze({"edit", "vary", "--checkpoint", at("run"), "--image", evil}), "--image");
  const float zero[4] = {};
  for (const char* key : {"range", "other"})
    engine::write_safetensors(engine::disk(), at("s.safetensors"),
                              {{"samples", {1, 1, 2, 2}, zero}}, {{key, "\x1b]0;x\x07"}});
  engine::write_safetensors(engine::disk(), at("s.safetensors"), {{"samples", {1, 1, 2, 2}, zero}},
                            {{"range", "\x1b]0;x\x07\n"}});
  expect_plain(haze({"eval", "--samples", at("s.safetensors"), "--data", "synthetic:digits:9"}),
               "metadata");
  const auto png = apps::encode_png({1, 1, 1, {0}}, "{" + evil + "}");
  expect_plain(haze({"info", file("p.png", std::string(png.begin(), png.end()))}), "a recipe");
  fs::create_directories(at("data" + evil));
  const auto image = apps::encode_png({8, 8, 1, std::vector<std::uint8_t>(64)});
  file("data" + evil + "/a.png", std::string(image.begin(), image.end()));
  expect_plain(haze({"data", "images:" + at("data" + evil)}), "a data set");
  // And what a run's log keeps is what was said.
  const Outcome got = train("logged", 1, {"--data", "images:" + at("data" + evil)});
  expect_plain({0, contents(at("logged/log.txt")), ""}, "log.txt");
}

TEST(GridSize, IsThatOfTheGrid) {
  for (const auto& [n, height, width, columns] :
       {std::array{1, 3, 5, 0}, {7, 3, 5, 0}, {7, 2, 9, 3}, {2, 4, 1, 5}}) {
    const std::vector<std::uint8_t> images(std::size_t(n * height * width));
    const apps::Image grid = apps::make_grid(images, n, height, width, 1, columns);
    const apps::GridSize size = apps::grid_size(n, height, width, columns);
    EXPECT_EQ(size.height, grid.height);
    EXPECT_EQ(size.width, grid.width);
  }
  EXPECT_EQ(apps::grid_size(1 << 20, 16384, 16384, 1).height, 16386LL * (1 << 20) - 2);
  apps::check_png_size(1'000'000, 1'000'000);
  EXPECT_THROW(apps::check_png_size(1, 1'000'001), InputError);
  EXPECT_THROW(apps::check_png_size(1'000'001, 1), InputError);
}

}  // namespace
}  // namespace haze::test
