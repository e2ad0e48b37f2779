// SPDX-License-Identifier: MIT
// image_folder_test.cpp — folders of pictures:
// which files count, in which order, and what is refused.
#include <sys/stat.h>
#include <unistd.h>

#include "apps/data/dataset.h"
#include "apps/image/png.h"
#include "tests/support/jpeg_file.h"
#include "tests/support/test.h"

namespace haze::apps {
namespace {
namespace fs = std::filesystem;
using test::Bytes;
using test::DataFolder;
using test::expect_refused;
using test::picture;

Bytes flat_png(int height, int width, int channels, int value) {
  return encode_png({height, width, channels,
                     Bytes(std::size_t(height) * width * channels, std::uint8_t(value))});
}

Bytes flat_jpeg(int height, int width, int value) {
  return test::jpeg_file(Bytes(std::size_t(height) * width * 3, std::uint8_t(value)), height, width,
                         3);
}

Bytes as_bytes(const std::string& s) { return {s.begin(), s.end()}; }

/// The first byte of each image: flat pictures are told apart by it.
std::vector<int> values(const Dataset& set) {
  std::vector<int> v;
  for (int i = 0; i < set.count; ++i)
    v.push_back(set.images[std::size_t(i) * set.height * set.width * set.channels]);
  return v;
}

TEST(ImageFolder, ReadsClassesInBytewiseOrder) {
  const DataFolder folder;
  folder.write("b/1.png", flat_png(8, 8, 3, 10));
  folder.write("b/10.PNG", flat_png(8, 8, 1, 20));
  folder.write("b/deep/er/x.jpeg", flat_jpeg(8, 8, 30));
  folder.write("B/9.jpg", flat_jpeg(8, 8, 40));
  folder.write("\xc3\xa9/a.png", flat_png(8, 8, 3, 50));
  folder.write("b/README.md", "text");
  folder.write("b/none", "text");
  folder.write(".hidden/a.png", "not read");
  folder.write("b/.a.png", "not read");
  fs::create_directories(folder / "empty/too");
  const Dataset set = open_dataset("images:" + folder.path);
  EXPECT_EQ(std::vector({set.count, set.height, set.width, set.channels}),
            std::vector({5, 8, 8, 3}));
  EXPECT_EQ(values(set), (std::vector{40, 10, 20, 30, 50}));
  EXPECT_EQ(set.class_names, (std::vector<std::string>{"B", "b", "\xc3\xa9"}));
  EXPECT_EQ(set.labels, (std::vector<std::int32_t>{0, 1, 1, 1, 2}));
  EXPECT_EQ(set.skipped, 0);
  ASSERT_EQ(set.notes.size(), 2u);
  EXPECT_THAT(set.notes[0], testing::HasSubstr("2 files are not named"));
  EXPECT_THAT(set.notes[1], testing::HasSubstr("all images are grey"));
  EXPECT_EQ(open_dataset("images:" + folder.path + "/").fingerprint, set.fingerprint);
  fs::rename(folder / "B", folder / "C");
  EXPECT_NE(open_dataset("images:" + folder.path).fingerprint, set.fingerprint);
}

TEST(ImageFolder, HasNoClassesWithoutSubFolders) {
  const DataFolder folder;
  folder.write("a.png", flat_png(4, 4, 3, 1));
  EXPECT_TRUE(open_dataset("images:" + folder.path).labels.empty());
  folder.write("c/b.png", flat_png(4, 4, 3, 2));
  const Dataset mixed = open_dataset("images:" + folder.path);
  EXPECT_EQ(mixed.count, 2);
  EXPECT_TRUE(mixed.labels.empty());
  EXPECT_TRUE(mixed.class_names.empty());
  EXPECT_THAT(mixed.notes.at(0), testing::HasSubstr("no classes"));
}

TEST(ImageFolder, ConvertsAndResizes) {
  const DataFolder folder;
  folder.write("a.png", flat_png(40, 30, 3, 100));
  folder.write("b.jpg", flat_jpeg(17, 90, 200));
  folder.write("c.png", flat_png(16, 16, 1, 50));
  const Dataset set = open_dataset("images:" + folder.path, {.height = 16, .channels = 1});
  EXPECT_EQ(std::vector({set.count, set.height, set.width, set.channels}),
            std::vector({3, 16, 16, 1}));
  EXPECT_EQ(values(set), (std::vector{100, 200, 50}));
  EXPECT_EQ(open_dataset("images:" + folder.path, {.height = 16, .width = 8}).images.size(),
            3u * 16 * 8 * 3);
}

TEST(ImageFolder, ReadsMoreThanOneChunkInOrder) {
  const DataFolder folder;
  std::vector<int> want;
  for (int i = 0; i < 600; ++i) {
    folder.write(cat(i + 1000, ".png"), flat_png(2, 3, 1, i % 251));
    want.push_back(i % 251);
  }
  EXPECT_EQ(values(open_dataset("images:" + folder.path, {.channels = 1})), want);
  folder.write("1301.png", "x");
  folder.write("1299.png", "x");
  expect_refused([&] { open_dataset("images:" + folder.path); },
                 "1299.png");  // the first, every time
}

TEST(ImageFolder, NamesTheBadFile) {
  const Bytes png = flat_png(20, 20, 3, 1), jpeg = flat_jpeg(20, 20, 1);
  const auto cut = [](Bytes b) { return Bytes(b.begin(), b.end() - 5); };
  const struct {
    const char* name;
    Bytes bytes;
    const char* why;
  } files[] = {
      {"empty.png", {}, "neither a PNG nor a JPEG"},
      {"text.jpg", {'h', 'e', 'l', 'l', 'o'}, "neither a PNG nor a JPEG"},
      {"gif.png", {'G', 'I', 'F', '8', '9', 'a'}, "neither a PNG nor a JPEG"},
      {"cut.png", cut(png), "PNG: "},
      {"cut.jpg", cut(jpeg), "JPEG: "},
      {"page.jpg", as_bytes("<html><body>404"), "it is an HTML page"},
      {"lfs.png", as_bytes("version https://git-lfs.github.com/spec/v1"), "a pointer of Git LFS"},
      {"small.png", flat_png(15, 20, 3, 1),
       "15x20 pixels (height x width); at least 16x16 are needed"},
      {"narrow.jpg", flat_jpeg(20, 15, 1),
       "20x15 pixels (height x width); at least 16x16 are needed"},
  };
  for (const auto& f : files) {
    const DataFolder folder;
    folder.write("a.png", png);
    const std::string path = folder.write(std::string("m/") + f.name, f.bytes);
    folder.write("z.jpg", jpeg);
    const std::string spec = "images:" + folder.path;
    expect_refused([&] { open_dataset(spec, {.height = 16}); }, fs::canonical(path).string() + ": ",
                   f.name);
    expect_refused([&] { open_dataset(spec, {.height = 16}); }, f.why, f.name);
    const Dataset set = open_dataset(spec, {.height = 16, .skip_bad = true});
    EXPECT_EQ(set.count, 2) << f.name;
    EXPECT_EQ(set.skipped, 1) << f.name;
    ASSERT_EQ(set.notes.size(), 2u);  // and that all are grey
    EXPECT_THAT(set.notes[0], testing::HasSubstr(f.name));
    expect_refused([&] { open_dataset(spec, {.height = 16, .skip_bad = true, .max_skipped = 0}); },
                   "0 bad files were already left out");
  }
}

TEST(ImageFolder, DecodesByContentNotByName) {
  const DataFolder folder;
  folder.write("really-jpeg.png", flat_jpeg(8, 8, 90));
  folder.write("really-png.jpg", flat_png(8, 8, 3, 60));
  EXPECT_EQ(values(open_dataset("images:" + folder.path)), (std::vector{90, 60}));
}

TEST(ImageFolder, RefusesFoldersWithoutGoodImages) {
  const DataFolder folder;
  const std::string spec = "images:" + folder.path;
  expect_refused([&] { open_dataset(spec); },
                 "no images; files named .png, .jpg or .jpeg are needed (0 others");
  folder.write("a.gif", "GIF89a");
  expect_refused([&] { open_dataset(spec); }, "(1 others found)");
  for (int i = 0; i < 13; ++i) folder.write(cat("bad", i, ".png"), "x");
  expect_refused([&] { open_dataset(spec, {.skip_bad = true}); }, "all 13 images are bad");
  folder.write("good.png", flat_png(3, 3, 3, 1));
  const Dataset set = open_dataset(spec, {.skip_bad = true});
  EXPECT_EQ(set.skipped, 13);
  ASSERT_EQ(set.notes.size(), 13u);  // and that all are grey
  EXPECT_EQ(set.notes[11], "left out: 3 more");
}

TEST(ImageFolder, KnowsWhetherAllItsImagesAreGrey) {
  const DataFolder folder;
  folder.write("a.png", flat_png(3, 5, 3, 7));
  folder.write("b.png", encode_png(picture(3, 5, 1)));
  const std::string spec = "images:" + folder.path;
  Dataset set = open_dataset(spec);
  EXPECT_TRUE(set.grey_as_colour);
  make_grey(set);
  const Dataset grey = open_dataset(spec, {.channels = 1});
  EXPECT_FALSE(grey.grey_as_colour);
  EXPECT_TRUE(grey.notes.empty());
  EXPECT_EQ(set.images, grey.images);
  EXPECT_EQ(set.fingerprint, grey.fingerprint);
  folder.write("c.png", encode_png({1, 1, 3, {9, 9, 8}}));
  const Dataset colour = open_dataset(spec, {.height = 1});
  EXPECT_FALSE(colour.grey_as_colour);
  EXPECT_TRUE(colour.notes.empty());
}

TEST(ImageFolder, NeedsOneSizeOrAnAskedOne) {
  const DataFolder folder;
  folder.write("a.png", flat_png(8, 6, 3, 1));
  folder.write("b.png", flat_png(6, 8, 3, 2));
  expect_refused([&] { open_dataset("images:" + folder.path); },
                 "b.png: 6x8 pixels (height x width), the images before have 8x6; ask for a size");
  EXPECT_EQ(open_dataset("images:" + folder.path, {.height = 6}).count, 2);
}

TEST(ImageFolder, LinksStayBelowTheFolder) {
  const DataFolder outside, folder;
  const std::string spec = "images:" + folder.path;
  folder.write("a.png", flat_png(4, 4, 3, 1));
  outside.write("secret.png", flat_png(4, 4, 3, 9));
  fs::create_symlink("a.png", folder / "b.png");
  EXPECT_EQ(values(open_dataset(spec)), (std::vector{1, 1}));
  const auto refused = [&](const fs::path& target, const std::string& why) {
    fs::create_symlink(target, folder / "link.png");
    expect_refused([&] { open_dataset(spec); }, why, target.string());
    fs::remove(folder / "link.png");
  };
  refused(outside / "secret.png", "links must stay below");
  refused("../" + fs::path(outside.path).filename().string() + "/secret.png",
          "links must stay below");
  refused("/dev/zero", "links must stay below");
  refused("none.png", "No such file");
  refused("link.png", "link.png");  // leads to itself
  refused(outside.path, "a symbolic link to a folder");
  refused(".", "a symbolic link to a folder");  // would never end
  // A neighbour whose name begins with the folder's own is not below it.
  fs::create_directory(folder.path + "-neighbour");
  fs::copy_file(outside / "secret.png", folder.path + "-neighbour/x.png");
  refused(folder.path + "-neighbour/x.png", "links must stay below");
  fs::remove_all(folder.path + "-neighbour");
  // The folder itself may be named by a link.
  fs::create_directory_symlink(folder.path, outside / "way");
  EXPECT_EQ(open_dataset("images:" + (outside / "way")).count, 2);
}

TEST(ImageFolder, RefusesOddFilesAndNames) {
  const DataFolder folder;
  const std::string spec = "images:" + folder.path;
  ASSERT_EQ(mkfifo((folder / "a.png").c_str(), 0600), 0);
  expect_refused([&] { open_dataset(spec); }, "not a regular file");  // and does not wait
  fs::remove(folder / "a.png");
  folder.write("\x1b[31m\n.png", "x");
  expect_refused([&] { open_dataset(spec); }, "\\x1b[31m\\x0a.png");
  fs::remove_all(folder / "\x1b[31m\n.png");
  ASSERT_EQ(truncate(folder.write("big.png", "x").c_str(), (64 << 20) + 1),
            0);  // without blocks on disk
  expect_refused([&] { open_dataset(spec); }, "67108865 bytes; at most 67108864 are allowed");
  fs::remove(folder / "big.png");

  std::string deep;
  for (int i = 0; i < 16; ++i) deep += "d/";
  folder.write(deep + "a.png", flat_png(4, 4, 3, 1));
  EXPECT_EQ(open_dataset(spec).count, 1);
  folder.write(deep + "d/a.png", flat_png(4, 4, 3, 1));
  expect_refused([&] { open_dataset(spec); }, "nest too deep; at most 16");
}

TEST(RealData, ClothingPhotographs) {
  HAZE_NEEDS_DATA("clothing-small.tar");
  const DataFolder folder;
  const std::string unpack =
      "tar -xf '" + test::data_folder() + "/clothing-small.tar' -C '" + folder.path + "'";
  ASSERT_EQ(std::system(unpack.c_str()), 0);
  const Dataset set =
      open_dataset("images:" + folder.path + "/clothing-small/validation", {.height = 64});
  EXPECT_EQ(std::vector({set.height, set.width, set.channels}), std::vector({64, 64, 3}));
  EXPECT_EQ(set.class_names.size(), 10u);
  EXPECT_EQ(set.labels.size(), std::size_t(set.count));
  EXPECT_GT(set.count, 100);
  double mean = 0;
  for (const std::uint8_t v : set.images) mean += v;
  EXPECT_NEAR(mean / double(set.images.size()), 150, 40) << "photographs on light ground";
}

}  // namespace
}  // namespace haze::apps
