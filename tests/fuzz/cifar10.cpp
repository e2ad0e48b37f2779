// SPDX-License-Identifier: MIT
// Target: a file of CIFAR-10.
#include <algorithm>

#include "tests/fuzz/dataset_rules.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"

namespace haze::fuzz {
namespace {

constexpr std::size_t kRecord = 3073, kPlane = 1024;

void one_input(Input input) {
  const Folder folder;
  folder.write("test_batch.bin", input);
  const auto set =
      accepted([&] { return apps::open_dataset("cifar10:" + folder.path() + "#test"); });
  bool right = !input.empty() && input.size() % kRecord == 0;
  for (std::size_t at = 0; right && at < input.size(); at += kRecord) right &= input[at] < 10;
  promise(bool(set) == right, "accepted ", bool(set), ", should be ", right);
  if (!set) return;
  hold_to_promises(*set);
  promise(set->height == 32 && set->width == 32 && set->channels == 3, "another size");
  promise(std::size_t(set->count) == input.size() / kRecord &&
              set->labels.size() == input.size() / kRecord,
          "another count");
  for (std::size_t i = 0; i < set->labels.size(); ++i) {
    const Input record = input.subspan(i * kRecord, kRecord);
    promise(set->labels[i] == record[0], "label of image ", i);
    for (std::size_t v = 0; v < 3 * kPlane; ++v)
      promise(set->images[i * 3 * kPlane + v] == record[1 + v % 3 * kPlane + v / 3], "image ", i,
              ", value ", v);
  }
}

const Target kTarget("cifar10", one_input);

}  // namespace
}  // namespace haze::fuzz
