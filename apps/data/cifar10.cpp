// SPDX-License-Identifier: MIT
// cifar10.cpp — the binary version of CIFAR-10 (A. Krizhevsky, cs.toronto.edu/~kriz/cifar.html):
// records of a label byte and three 32x32 planes, red, green, blue.
#include <filesystem>

#include "apps/data/input_file.h"
#include "apps/data/loaders.h"
#include "kernels/base/check.h"

namespace haze::apps {
namespace {

constexpr int kSide = 32, kPlane = kSide * kSide, kRecord = 1 + 3 * kPlane;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;

void append(const std::string& path, Dataset& set) {
  const InputFile file(path, kMostBytes);
  if (file.size() == 0 || file.size() % kRecord != 0)
    throw InputError(cat(file.name(), ": ", file.size(), " bytes; a whole number of records of ",
                         kRecord, " is needed"));
  const int count = int(file.size() / kRecord);
  std::vector<std::uint8_t> records(file.size());
  file.read_at(0, records);
  set.images.resize(set.images.size() + std::size_t(count) * 3 * kPlane);
  std::uint8_t* to = set.images.data() + std::size_t(set.count) * 3 * kPlane;
  for (int i = 0; i < count; ++i) {
    const std::uint8_t* record = records.data() + std::size_t(i) * kRecord;
    if (*record > 9)
      throw InputError(
          cat(file.name(), ": label ", int(*record), " in record ", i, "; 0 to 9 are allowed"));
    set.labels.push_back(*record);
    for (int pixel = 0; pixel < kPlane; ++pixel)
      for (int c = 0; c < 3; ++c) *to++ = record[1 + c * kPlane + pixel];
  }
  set.count += count;
}

}  // namespace

Dataset load_cifar10(const std::string& folder, bool test) {
  Dataset set;
  set.height = set.width = kSide;
  set.channels = 3;
  set.class_names = {"airplane", "automobile", "bird",  "cat",  "deer",
                     "dog",      "frog",       "horse", "ship", "truck"};
  std::vector<std::string> names = {"test_batch.bin"};
  if (!test) {
    names.clear();
    for (char n = '1'; n <= '5'; ++n) names.push_back(std::string("data_batch_") + n + ".bin");
  }
  for (const std::string& name : names)
    append((std::filesystem::path(folder) / name).string(), set);
  return set;
}

}  // namespace haze::apps
