// SPDX-License-Identifier: MIT
// cifar10.cpp — the binary version of CIFAR-10 (A. Krizhevsky, cs.toronto.edu/~kriz/cifar.html):
// records of a label byte and three 32x32 planes, red, green, blue.
#include <algorithm>

#include "apps/data/find_below.h"
#include "apps/data/input_file.h"
#include "apps/data/loaders.h"
#include "engine/files/foreign.h"
#include "engine/files/new_file.h"
#include "kernels/base/check.h"

namespace haze::apps {
namespace {

constexpr int kSide = 32, kPlane = kSide * kSide, kRecord = 1 + 3 * kPlane;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;

void append(const std::string& path, Dataset& set) {
  const InputFile file(path, kMostBytes);
  if (file.size() == 0 || file.size() % kRecord != 0)
    throw InputError(cat(file.name(), ": ", file.size(), " bytes; a whole number of records of ",
                         kRecord, " is needed", engine::foreign_hint(file.first())));
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

/// What there is in place of a file of the binary version.
[[noreturn]] void refuse_missing(const std::string& folder, const std::string& name) {
  const auto has = [&](const std::vector<std::string>& names) { return find_below(folder, names); };
  std::string hint =
      "cifar10:DIR needs the files of cifar-10-binary.tar.gz, in DIR or a folder below";
  if (has({"data_batch_1", "test_batch", "cifar-10-python.tar.gz"}))
    hint =
        "this is the Python version of CIFAR-10; the binary version, cifar-10-binary.tar.gz, is "
        "needed";
  else if (has({"cifar-10-binary.tar.gz"}))
    hint = "unpack cifar-10-binary.tar.gz there";
  else if (has({"train.bin"}))
    hint = "this is CIFAR-100; CIFAR-10 is needed";
  throw InputError(cat(printable(folder + '/' + name), ": not found; ", hint));
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
  for (const std::string& name : names) {
    const auto path = find_below(folder, {name});
    if (!path) refuse_missing(folder, name);
    if (engine::directory_of(*path) != folder && set.notes.empty())
      set.notes.push_back("found: " + printable(engine::directory_of(*path)));
    append(*path, set);
  }
  return set;
}

}  // namespace haze::apps
