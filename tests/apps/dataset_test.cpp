// SPDX-License-Identifier: MIT
// dataset_test.cpp — what open_dataset understands and refuses,
// and the images drawn by the program.
#include "apps/data/dataset.h"

#include <set>

#include "apps/data/input_file.h"
#include "engine/files/xxh3.h"
#include "kernels/base/check.h"
#include "tests/support/data_files.h"
#include "tests/support/test.h"

namespace haze::apps {
namespace {
using test::expect_refused;

TEST(Dataset, RefusesSpecsInOneLine) {
  const test::DataFolder folder;
  const auto refused = [](const std::string& spec, const std::string& why) {
    expect_refused([&] { open_dataset(spec); }, why);
  };
  refused("", "synthetic:digits");
  refused("mnist", "mnist:DIR");
  refused("nist:" + folder.path, "are known");
  refused(folder.path, "images:" + folder.path);
  refused("mnist:", "a folder goes behind the colon");
  refused("mnist:" + folder.path + "/none", "the folder does not exist");
  refused("cifar10:" + folder.write("file", "x"), "a file; the folder that it lies in");
  refused("images:" + folder.path + "/none", "the folder does not exist");
  for (const char* number : {"0", "-3", "1000001", "x", "", "5x", "99999999999999999999"})
    refused(std::string("synthetic:digits:") + number, "from 1 to 1000000");
  refused("synthetic:letters", "can be drawn");
  refused("synthetic:\x1b[2J", "synthetic:\\x1b[2J");
}

TEST(Dataset, RefusesOptions) {
  const auto refused = [](const DatasetOptions& options, const std::string& why) {
    expect_refused([&] { open_dataset("synthetic:digits:1", options); }, why);
  };
  refused({.height = 0}, "image size: 0; 1 to 16384");
  refused({.width = 16385}, "image size: 16385");
  refused({.channels = 2}, "image channels: 2; 1 (grey) and 3 (RGB)");
  refused({.channels = 3}, "has 1 channel; asked for: 3");
}

TEST(Dataset, EscapesForeignText) {
  EXPECT_EQ(printable("a/\xc3\xa9 b"), "a/\xc3\xa9 b");
  EXPECT_EQ(printable("\x1b[0m\n\x7f"), "\\x1b[0m\\x0a\\x7f");
  EXPECT_EQ(printable("\xff\xc3\xa9"), "\\xff\\xc3\\xa9");  // not UTF-8 as a whole
  EXPECT_EQ(printable("\xc2\x9b"
                      "1m"),
            "\\xc2\\x9b1m");  // U+009B starts a terminal command
  EXPECT_EQ(printable("\xed\xa0\x80\xc0\x80"), "\\xed\\xa0\\x80\\xc0\\x80");
}

TEST(Dataset, DigitsLookLikeMnist) {
  const Dataset set = open_dataset("synthetic:digits");
  EXPECT_EQ(set.spec, "synthetic:digits");
  EXPECT_EQ(set.count, 10000);
  EXPECT_EQ(std::vector({set.height, set.width, set.channels}), std::vector({28, 28, 1}));
  ASSERT_EQ(set.images.size(), 10000u * 28 * 28);
  ASSERT_EQ(set.labels.size(), 10000u);
  EXPECT_EQ(set.class_names.size(), 10u);
  EXPECT_EQ(set.fingerprint.size(), 32u);
  EXPECT_TRUE(set.notes.empty());
  std::vector<int> count(10);
  for (const auto label : set.labels) ++count.at(std::size_t(label));
  EXPECT_EQ(count, std::vector<int>(10, 1000));

  double mean = 0, square = 0;
  std::set<std::string> distinct;
  for (int i = 0; i < set.count; ++i) {
    const std::uint8_t* image = set.images.data() + std::size_t(i) * 784;
    distinct.insert(engine::xxh3_128(image, 784));
    int peak = 0, ring = 0, grey = 0;
    for (int y = 0; y < 28; ++y)
      for (int x = 0; x < 28; ++x) {
        const int v = image[y * 28 + x];
        mean += v;
        square += v * v;
        peak = std::max(peak, v);
        grey += v > 0 && v < 255;
        if (x == 0 || y == 0 || x == 27 || y == 27) ring = std::max(ring, v);
      }
    ASSERT_GT(peak, 200) << i;
    ASSERT_EQ(ring, 0) << "image " << i << " touches the border";
    ASSERT_GT(grey, 10) << "image " << i << " has no soft edges";
  }
  mean /= 255.0 * double(set.images.size());
  const double deviation =
      std::sqrt(square / (255.0 * 255 * double(set.images.size())) - mean * mean);
  EXPECT_NEAR(mean, 0.1307, 0.03) << "MNIST's mean";
  EXPECT_NEAR(deviation, 0.3081, 0.04) << "MNIST's standard deviation";
  EXPECT_EQ(distinct.size(), 10000u);
}

// What was drawn must stay what it was: runs are compared across versions by it. Sizes of the set
// do not change its beginning.
TEST(Dataset, DrawnImagesStayTheSame) {
  EXPECT_EQ(open_dataset("synthetic:digits:100").fingerprint, "8520f80a2b08270ffdeb2015acd442e1");
  EXPECT_EQ(open_dataset("synthetic:shapes:100").fingerprint, "ceafe2769bbd25718726cf9eb5315f4e");
  const Dataset few = open_dataset("synthetic:digits:30"),
                more = open_dataset("synthetic:digits:60");
  EXPECT_TRUE(std::equal(few.images.begin(), few.images.end(), more.images.begin()));
}

/// Share of `probe` whose nearest class mean, out of the other set, is that of its own label.
double nearest_mean_accuracy(const Dataset& learn, const Dataset& probe) {
  const std::size_t size = learn.images.size() / std::size_t(learn.count),
                    classes = learn.class_names.size();
  std::vector<double> mean(size * classes), count(classes);
  for (int i = 0; i < learn.count; ++i) {
    const auto label = std::size_t(learn.labels[std::size_t(i)]);
    ++count[label];
    for (std::size_t p = 0; p < size; ++p)
      mean[label * size + p] += learn.images[std::size_t(i) * size + p];
  }
  int right = 0;
  for (int i = 0; i < probe.count; ++i) {
    std::size_t best = 0;
    double least = INFINITY;
    for (std::size_t k = 0; k < classes; ++k) {
      double distance = 0;
      for (std::size_t p = 0; p < size; ++p) {
        const double d = mean[k * size + p] / count[k] - probe.images[std::size_t(i) * size + p];
        distance += d * d;
      }
      if (distance < least) least = distance, best = k;
    }
    right += best == std::size_t(probe.labels[std::size_t(i)]);
  }
  return right / double(probe.count);
}

// The labels belong to the images, and the drawn digits are the digits that people write: the means
// of the drawn ones recognise MNIST's far above the one in ten of chance.
TEST(Dataset, DigitsAreRecognisable) {
  const Dataset drawn = open_dataset("synthetic:digits:5000");
  EXPECT_GT(nearest_mean_accuracy(drawn, open_dataset("synthetic:digits:6000")), 0.75);
  HAZE_NEEDS_DATA("mnist");
  const Dataset mnist = open_dataset("mnist:" + test::data_folder() + "/mnist#test");
  EXPECT_GT(nearest_mean_accuracy(drawn, mnist), 0.5);
}

TEST(Dataset, ShapesShowThreeKinds) {
  const Dataset set = open_dataset("synthetic:shapes:300");
  EXPECT_EQ(std::vector({set.count, set.height, set.width, set.channels}),
            std::vector({300, 32, 32, 3}));
  EXPECT_EQ(set.class_names, (std::vector<std::string>{"circle", "square", "triangle"}));
  for (std::size_t i = 0; i < 300; ++i) {
    EXPECT_EQ(set.labels[i], int(i % 3));
    const auto begin = set.images.begin() + std::ptrdiff_t(i * 3072);
    const auto [low, high] = std::minmax_element(begin, begin + 3072);
    EXPECT_GT(*high - *low, 40) << "image " << i << " shows nothing";
  }
}

TEST(Dataset, ResizesToWhatIsAsked) {
  const Dataset set = open_dataset("synthetic:digits:20", {.height = 32});
  EXPECT_EQ(std::vector({set.height, set.width}), std::vector({32, 32}));
  EXPECT_EQ(set.images.size(), 20u * 32 * 32);
  const Dataset wide =
      open_dataset("synthetic:shapes:3", {.height = 16, .width = 24, .channels = 3});
  EXPECT_EQ(std::vector({wide.height, wide.width}), std::vector({16, 24}));
  EXPECT_EQ(wide.images.size(), 3u * 16 * 24 * 3);
  const Dataset same =
      open_dataset("synthetic:digits:20", {.height = 28, .width = 28, .channels = 1});
  EXPECT_EQ(same.images, open_dataset("synthetic:digits:20").images);
}

TEST(Dataset, KeepsOneLabel) {
  const Dataset all = open_dataset("synthetic:digits:47"),
                threes = open_dataset("synthetic:digits:47", {.height = 28, .label = "3"});
  ASSERT_EQ(threes.count, 5);  // 3, 13, 23, 33, 43
  EXPECT_EQ(threes.labels, std::vector<std::int32_t>(5, 3));
  EXPECT_EQ(threes.class_names, all.class_names);
  ASSERT_EQ(threes.images.size(), 5u * 784);
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(std::equal(threes.images.begin() + i * 784, threes.images.begin() + (i + 1) * 784,
                           all.images.begin() + (10 * i + 3) * 784))
        << i;
  EXPECT_NE(threes.fingerprint, open_dataset("synthetic:digits:47", {.label = "4"}).fingerprint);
  expect_refused([] { open_dataset("synthetic:digits:47", {.label = "11"}); },
                 "data.label: 11; one of the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9");
  expect_refused([] { open_dataset("synthetic:digits:3", {.label = "3"}); }, "it has no images");
}

TEST(Dataset, FingerprintSeesEveryPart) {
  const std::string base = open_dataset("synthetic:digits:20").fingerprint;
  EXPECT_EQ(base, open_dataset("synthetic:digits:20", {.height = 28}).fingerprint);
  EXPECT_NE(base, open_dataset("synthetic:digits:21").fingerprint);
  EXPECT_NE(base, open_dataset("synthetic:digits:20", {.height = 32}).fingerprint);
}

}  // namespace
}  // namespace haze::apps
