// SPDX-License-Identifier: MIT
#include "tests/fuzz/dataset_rules.h"

#include <cmath>

#include "tests/fuzz/errors.h"

namespace haze::fuzz {

void hold_to_promises(const apps::Dataset& set) {
  const std::string shape = cat(set.count, "x", set.height, "x", set.width, "x", set.channels);
  promise(set.count >= 1 && set.height >= 1 && set.width >= 1, "sizes ", shape);
  promise(set.height <= 16384 && set.width <= 16384 && set.channels >= 1 && set.channels <= 3,
          "sizes ", shape);
  const std::size_t all =
      std::size_t(set.count) * std::size_t(set.height) * set.width * set.channels;
  promise(
      set.images.size() + set.values.size() == all && (set.images.empty() || set.values.empty()),
      set.images.size(), " bytes and ", set.values.size(), " values for ", shape);
  for (const float v : set.values) promise(std::isfinite(v), "a value that is not finite");
  promise(set.labels.empty() || set.labels.size() == std::size_t(set.count), set.labels.size(),
          " labels for ", shape);
  for (const auto l : set.labels)
    promise(l >= 0 && std::size_t(l) < set.class_names.size(), "label ", l, " of ",
            set.class_names.size());
  for (const auto& name : set.class_names) promise(fit_for_terminal(name), "a class's name");
  for (const auto& note : set.notes) check_message(note, Message::raw);
  promise(set.fingerprint.size() == 32 &&
              set.fingerprint.find_first_not_of("0123456789abcdef") == std::string::npos,
          "a fingerprint of another form");
}

}  // namespace haze::fuzz
