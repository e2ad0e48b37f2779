// SPDX-License-Identifier: MIT
// schema.cpp — the table of keys as JSON Schema,
// from which editors complete and check configurations.
#include "apps/config/keys.h"
#include "apps/json_writer.h"

namespace haze::apps {
namespace {

JsonWriter& typed(JsonWriter& w, std::string_view type) { return w.field("type", type); }

JsonWriter& bounds(JsonWriter& w, const Key& key) {
  return w.field("minimum", key.min).field("maximum", key.max);
}

/// What the field may be, as keywords of the object that is open.
struct Keywords {
  JsonWriter& w;
  const Key& key;

  void operator()(int*) { bounds(typed(w, "integer"), key); }
  void operator()(std::uint64_t*) { bounds(typed(w, "integer"), key); }
  void operator()(float*) { bounds(typed(w, "number"), key); }
  void operator()(double*) { bounds(typed(w, "number"), key); }
  void operator()(bool*) { typed(w, "boolean"); }
  void operator()(std::string*) { typed(w, "string").field("maxLength", std::size_t(key.max)); }
  void operator()(std::vector<int>*) {
    typed(w, "array").key("items").begin_object();
    bounds(typed(w, "integer"), key).end_object();
  }
  void operator()(std::vector<bool>*) {
    typed(w, "array").key("items").begin_object();
    typed(w, "boolean").end_object();
  }
  void operator()(Choice c) {
    w.key("enum").begin_array();
    for (const auto word : c.words) w.value(word);
    w.end_array();
  }
};

}  // namespace

std::string json_schema() {
  RunConfig defaults = resolve({});
  JsonWriter w;
  w.begin_object().field("$schema", "http://json-schema.org/draft-07/schema#");
  typed(w.field("title", "haze configuration"), "object").field("additionalProperties", false);
  w.key("properties").begin_object().key("$schema").begin_object();
  typed(w, "string").end_object();
  std::string_view section;
  for (const Key& key : keys()) {
    const std::size_t dot = key.name.find('.');
    if (key.name.substr(0, dot) != section) {
      if (!section.empty()) w.end_object().end_object();
      section = key.name.substr(0, dot);
      typed(w.key(section).begin_object(), "object").field("additionalProperties", false);
      w.key("properties").begin_object();
    }
    w.key(key.name.substr(dot + 1)).begin_object();
    std::visit(Keywords{w, key}, key.field(defaults));
    w.key("default").raw(json_of(key, defaults));
    const std::string owners = key.families == kAny ? "" : cat(" (", owners_of(key), ")");
    w.field("description", cat(key.help, owners)).end_object();
  }
  w.end_object().end_object();
  return w.end_object().end_object().text() + "\n";
}

}  // namespace haze::apps
