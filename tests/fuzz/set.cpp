// SPDX-License-Identifier: MIT
// Target: --set. Input: lines of KEY=VALUE, over the defaults; a command line's arguments have
// no NUL.
#include <algorithm>

#include "apps/config/keys.h"
#include "kernels/base/text.h"
#include "tests/fuzz/config_rules.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"

namespace haze::fuzz {
namespace {

void one_input(Input input) {
  apps::Settings settings;
  const std::string text = text_of(input);
  for (const auto line : split(text, '\n')) {
    const std::string assignment(line.substr(0, std::min<std::size_t>(4096, line.find('\0'))));
    const auto before = settings.size();
    if (!accepted([&] { apps::parse_assignment(assignment, "--set", settings); }, Message::said))
      return;
    const std::string key = assignment.substr(0, assignment.find('='));
    promise(settings.contains(key) && settings.size() <= before + 1, "not one setting");
    const auto* known = apps::find_key(key);
    apps::RunConfig any;
    // A text is taken as it stands; only one that starts with a quote may be JSON's.
    const std::string value = assignment.substr(key.size() + 1);
    if (!known || value.starts_with('"') ||
        !std::holds_alternative<std::string*>(known->field(any)))
      continue;
    const auto& items = settings.at(key).value.items;
    promise(items.size() == 1 && std::get<std::string>(items[0]) == value, "another text");
  }
  const auto config = accepted([&] { return apps::resolve(settings); }, Message::said);
  if (config) hold_to_promises(*config, settings);
}

const Target kTarget("set", one_input);

}  // namespace
}  // namespace haze::fuzz
