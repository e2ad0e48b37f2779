// SPDX-License-Identifier: MIT
// The JSON Schema of the configuration keys: the shipped copy is current,
// and says what the program says.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/config/find.h"
#include "apps/config/keys.h"
#include "tests/support/paths.h"
#include "tests/support/test.h"

namespace haze::apps {
namespace {

using Json = nlohmann::json;
const std::string kConfigs = test::source_dir() + "/apps/configs/";

Json read(const std::string& path) { return Json::parse(std::ifstream(path)); }

bool has_type(const Json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

/// The keywords that haze's schema uses, as JSON Schema (draft 7) defines them.
bool fits(const Json& value, const Json& schema) {
  if (schema.contains("enum"))
    return std::ranges::find(schema["enum"], value) != schema["enum"].end();
  if (!has_type(value, schema["type"])) return false;
  if (schema.contains("minimum") && !(value >= schema["minimum"] && value <= schema["maximum"]))
    return false;
  if (schema.contains("maxLength") && value.get<std::string>().size() > schema["maxLength"])
    return false;
  if (schema.contains("items"))
    for (const Json& item : value)
      if (!fits(item, schema["items"])) return false;
  if (schema.contains("properties"))
    for (const auto& [name, inner] : value.items())
      if (!schema["properties"].contains(name) || !fits(inner, schema["properties"][name]))
        return false;
  return true;
}

TEST(Schema, TheShippedCopyIsCurrent) {
  EXPECT_EQ(read_text(kConfigs + "schema/haze.schema.json", 1 << 20), json_schema())
      << "haze info --schema > apps/configs/schema/haze.schema.json";
}

TEST(Schema, EveryShippedConfigurationNamesAndFitsIt) {
  const Json schema = Json::parse(json_schema());
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kConfigs)) {
    if (entry.path().extension() != ".json") continue;
    ++seen;
    const Json config = read(entry.path());
    EXPECT_TRUE(std::filesystem::exists(kConfigs + config.at("$schema").get<std::string>()));
    EXPECT_TRUE(fits(config, schema)) << entry.path();
  }
  EXPECT_GE(seen, 14);
}

TEST(Schema, AcceptsAndRefusesWhatTheProgramDoes) {
  const Json schema = Json::parse(json_schema());
  const auto both = [&](const std::string& json) {
    bool taken = true;
    try {
      resolve(parse_settings(json, "f.json"));
    } catch (const InputError&) {
      taken = false;
    }
    EXPECT_EQ(fits(Json::parse(json), schema), taken) << json;
    return taken;
  };
  for (const Key& key : keys()) {
    const RunConfig defaults = resolve({});
    const std::string section(key.name.substr(0, key.name.find('.')));
    const auto json = [&](const std::string& value) {
      return cat("{\"", section, "\": {\"", key.name.substr(section.size() + 1), "\": ", value,
                 "}}");
    };
    const bool asked = belongs_to(key, defaults.model.family);  // the schema knows of no families
    EXPECT_TRUE(!asked || both(json(json_of(key, defaults))));
    EXPECT_FALSE(both(json("{}")));
    EXPECT_FALSE(both(json("-1e300")));
    EXPECT_FALSE(both(json("[[1]]")));
    EXPECT_FALSE(both(json("\"" + std::string(4097, 'x') + "\"")));
  }
  EXPECT_FALSE(both(R"({"train": {"stepz": 3}})"));
  EXPECT_FALSE(both(R"({"trains": {}})"));
  EXPECT_FALSE(both(R"({"train": {"batch_size": 0}})"));
  EXPECT_FALSE(both(R"({"train": {"batch_size": 1.5}})"));
  EXPECT_FALSE(both(R"({"diffusion": {"schedule": "linar"}})"));
  EXPECT_FALSE(both(R"({"model": {"is_attn": [true, 1]}})"));
}

}  // namespace
}  // namespace haze::apps
