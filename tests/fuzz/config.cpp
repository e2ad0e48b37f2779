// SPDX-License-Identifier: MIT
// Target: a configuration's JSON.
#include "apps/config/config.h"

#include <nlohmann/json.hpp>

#include "apps/config/keys.h"
#include "tests/fuzz/config_rules.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"

namespace haze::fuzz {
namespace {

/// What was accepted is JSON without anything said twice, and each value is in the settings.
void check_read(const std::string& text, const apps::Settings& settings) {
  using Json = nlohmann::json;
  std::size_t keys_said = 0, values = 0;
  const auto json = Json::parse(text, [&](int depth, Json::parse_event_t event, Json&) {
    keys_said += depth == 2 && event == Json::parse_event_t::key;
    return true;
  });
  for (const auto& [section, keys] : json.items()) {
    if (section == "$schema" && !keys.is_object()) continue;
    for (const auto& [key, value] : keys.items()) {
      ++values;
      const auto at = settings.find(section + "." + key);
      promise(at != settings.end(), section, ".", key, " got lost");
      promise(at->second.value.is_list == value.is_array() &&
                  at->second.value.items.size() == (value.is_array() ? value.size() : 1),
              section, ".", key, " is read as something else");
    }
  }
  promise(values == settings.size(), values, " values, ", settings.size(), " settings");
  promise(values == keys_said, "a key that is given twice was accepted");
}

void one_input(Input input) {
  const std::string text = text_of(input);
  const auto settings = accepted([&] { return apps::parse_settings(text, "file"); }, Message::said);
  if (!settings) return;
  check_read(text, *settings);
  const auto config = accepted([&] { return apps::resolve(*settings); }, Message::said);
  if (config) hold_to_promises(*config, *settings);
}

const Target kTarget("config", one_input);

}  // namespace
}  // namespace haze::fuzz
