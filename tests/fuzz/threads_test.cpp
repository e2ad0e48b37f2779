// SPDX-License-Identifier: MIT
// threads_test.cpp — data sets are read and drawn by several threads, and are the same as by one. The
// preset tsan runs this under ThreadSanitizer; every other build runs it as it is.
#include <omp.h>

#include "apps/data/dataset.h"
#include "apps/image/png.h"
#include "tests/fuzz/target.h"
#include "tests/support/data_files.h"
#include "tests/support/pictures.h"

namespace haze::fuzz {
namespace {

constexpr int kThreads = 4;  // more than many machines have cores: they take turns anywhere

/// Expects the same of f() with one thread and with several.
template <class F>
void expect_equal_sets(F f, const std::string& label) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const apps::Dataset one = f();
  omp_set_num_threads(kThreads);
  const apps::Dataset several = f();
  omp_set_num_threads(before);
  EXPECT_EQ(one.fingerprint, several.fingerprint) << label;
  EXPECT_EQ(one.notes, several.notes) << label;
  EXPECT_EQ(one.skipped, several.skipped) << label;
}

/// Pictures of many sizes in three classes; every seventh is cut short.
void fill(const test::DataFolder& folder, int files) {
  for (int i = 0; i < files; ++i) {
    auto png = apps::encode_png(test::picture(8 + i % 5, 8 + i % 11, i % 2 ? 1 : 3, unsigned(i)));
    if (i % 7 == 3) png.resize(png.size() / 2);
    folder.write(cat(char('a' + i % 3), '/', i, ".png"), png);
  }
}

TEST(Threads, AFolderOfPicturesIsTheSame) {
  const test::DataFolder folder;
  fill(folder, 300);  // more than are decoded between two looks at what went wrong
  apps::DatasetOptions options;
  options.skip_bad = true;
  options.height = options.width = 8;
  expect_equal_sets([&] { return apps::open_dataset("images:" + folder.path, options); }, "8x8");
}

// Together they take more than may be decoded at a time: one waits for another.
TEST(Threads, PicturesWaitForEachOther) {
  const test::DataFolder folder;
  apps::Image wide{4096, 9600, 1, {}};  // times 7 bytes to decode and convert
  wide.pixels.assign(std::size_t(wide.height) * std::size_t(wide.width), 200);
  const auto png = apps::encode_png(wide);
  for (int i = 0; i < 4; ++i) folder.write(cat(i, ".png"), png);
  apps::DatasetOptions options;
  options.height = options.width = 2;
  omp_set_num_threads(kThreads);
  const auto set = apps::open_dataset("images:" + folder.path, options);
  EXPECT_EQ(set.count, 4);
  EXPECT_THAT(set.images, testing::Each(200));
}

TEST(Threads, DrawnSetsAreTheSame) {
  for (const char* spec :
       {"synthetic:digits:64", "synthetic:shapes:64", "points:moons:1000", "points:swiss_roll:99"})
    expect_equal_sets([&] { return apps::open_dataset(spec); }, spec);
  apps::DatasetOptions smaller;
  smaller.height = smaller.width = 16;
  expect_equal_sets([&] { return apps::open_dataset("synthetic:digits:64", smaller); }, "smaller");
}

}  // namespace
}  // namespace haze::fuzz
