// SPDX-License-Identifier: MIT
#include "tests/fuzz/config_rules.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/config/keys.h"
#include "kernels/base/text.h"
#include "tests/fuzz/errors.h"

namespace haze::fuzz {
namespace {

using Json = nlohmann::json;

/// The value is what the schema in apps/configs/schema has for its key: of its type, in its range.
void hold_to_schema(const std::string& name, const Json& value, const Json& rule) {
  const auto complain = [&](const char* why) {
    throw BrokenPromise(cat(name, " = ", value.dump(), ": ", why, "; ", rule.dump()));
  };
  if (rule.contains("enum") && std::ranges::find(rule["enum"], value) == rule["enum"].end())
    complain("not one of the words");
  const std::string type = rule.value("type", "");
  if (type == "integer" && !value.is_number_integer()) complain("not whole");
  if (type == "boolean" && !value.is_boolean()) complain("not a boolean");
  if (type == "string" && !value.is_string()) complain("not a text");
  if (type == "number" && !(value.is_number() && std::isfinite(value.get<double>())))
    complain("not a number");
  // A float is written with the digits that it needs, which may round beyond the end of a range.
  const auto beyond = [&](double limit) { return std::abs(limit) * 1e-6; };
  if (rule.contains("minimum") &&
      value.get<double>() < rule["minimum"].get<double>() - beyond(rule["minimum"]))
    complain("too small");
  if (rule.contains("maximum") &&
      value.get<double>() > rule["maximum"].get<double>() + beyond(rule["maximum"]))
    complain("too large");
  if (type == "array") {
    if (!value.is_array()) complain("not a list");
    for (const Json& item : value) hold_to_schema(name, item, rule.at("items"));
  }
}

const Json& schema() {
  static const Json json = Json::parse(apps::json_schema());
  return json;
}

}  // namespace

void hold_to_promises(const apps::RunConfig& config, const apps::Settings& settings) {
  const std::string text = apps::to_json(config);
  const auto again = apps::parse_settings(text, "again");
  promise(apps::to_json(apps::resolve(again)) == text,
          "its own text is read as something else: ", text);
  promise(apps::differences(config, apps::resolve(again)).empty(), "it differs from itself");
  const Json json = Json::parse(text);
  for (const auto& [section, keys] : json.items())
    for (const auto& [key, value] : keys.items())
      hold_to_schema(section + "." + key, value,
                     schema().at("properties").at(section).at("properties").at(key));
  promise(config.train.batch_size % config.train.accumulate == 0, "parts that do not divide");
  promise(config.train.ema_decay == 0 || config.train.ema_half_life == 0, "two averages");
  promise(config.data.image_size.empty() || config.data.image_size.size() == 2, "odd image size");
  promise(config.model.time_steps == config.diffusion.steps, "two lengths of the chain");
  for (const auto& [name, setting] : settings)
    promise(apps::find_key(name), "an unknown key was accepted: ", name);

  const std::string shown = apps::to_text_with_origins(config, settings);
  for (const auto line : split(shown, '\n'))
    promise(fit_for_terminal(line), "a line that is not fit for a terminal: ", line);
  accepted([&] { apps::refuse_unused_keys(config); }, Message::said);
}

}  // namespace haze::fuzz
