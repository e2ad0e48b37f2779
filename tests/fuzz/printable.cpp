// SPDX-License-Identifier: MIT
// Target: printable(), by which foreign text comes into messages.
#include "apps/data/input_file.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"

namespace haze::fuzz {
namespace {

void one_input(Input input) {
  const std::string text = text_of(input), shown = apps::printable(text);
  promise(fit_for_terminal(shown), "not fit for a terminal");
  promise(fit_for_terminal(text) == (shown == text),
          "fit for a terminal, and changed or the reverse");
  promise(apps::printable(shown) == shown, "changed once more");
  promise(shown.size() >= text.size() && shown.size() <= 4 * text.size(), "of another length");
}

const Target kTarget("printable", one_input);

}  // namespace
}  // namespace haze::fuzz
