// SPDX-License-Identifier: MIT
// Target: what names a data set. Paths count from an empty folder and stay in it.
#include <charconv>
#include <filesystem>

#include "kernels/base/text.h"
#include "tests/fuzz/dataset_rules.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"

namespace haze::fuzz {
namespace {

/// How many images a text asks for that is one of the drawn sets, 0 if none.
int drawn_by(std::string_view text, bool& labelled) {
  const struct {
    std::string_view name;
    bool labelled;
  } sets[] = {{"synthetic:digits", true},
              {"synthetic:shapes", true},
              {"points:s_curve", false},
              {"points:moons", true},
              {"points:swiss_roll", false}};
  for (const auto& set : sets) {
    if (!text.starts_with(set.name)) continue;
    labelled = set.labelled;
    std::string_view rest = text.substr(set.name.size());
    if (rest.empty()) return 10'000;
    const std::string_view digits = rest.substr(1);
    if (rest[0] != ':' || digits.empty() || digits.find_first_not_of("0123456789") != digits.npos)
      return 0;
    int n = 0;
    for (const char c : digits.substr(0, 20)) n = std::min(10'000'000, 10 * n + (c - '0'));
    return n <= 1'000'000 ? n : 0;
  }
  return 0;
}

void one_input(Input input) {
  std::string text = text_of(input.first(std::min<std::size_t>(input.size(), 2000)));
  bool labelled = false;
  const int drawn = drawn_by(text, labelled);
  if (drawn > 2000) return;  // right, and slow
  if (text.find('/') != text.npos || text.find("..") != text.npos) return;
  static const Folder folder;  // nothing is ever written into it
  for (const std::string kind : {"mnist:", "cifar10:", "images:"})
    if (text.starts_with(kind)) text.insert(kind.size(), folder.path() + "/");
  const auto set = accepted([&] { return apps::open_dataset(text); });
  promise(bool(set) == (drawn > 0), "accepted ", bool(set), ", drawn ", drawn);
  if (!set) return;
  hold_to_promises(*set);
  promise(set->spec == text && set->count == drawn, set->count, " images for ", text);
  promise(set->labels.empty() != labelled, "labels: ", set->labels.size());
  promise(apps::open_dataset(text).fingerprint == set->fingerprint, "drawn otherwise again");
}

const Target kTarget("spec", one_input);

}  // namespace
}  // namespace haze::fuzz
