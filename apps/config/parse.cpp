// SPDX-License-Identifier: MIT
// parse.cpp — configuration text to settings. SAX, so that a hostile file is refused at its first
// wrong token and no deep tree is ever built.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/config/config.h"
#include "apps/config/keys.h"
#include "apps/json_writer.h"
#include "apps/suggest.h"

namespace haze::apps {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kMaxBytes = std::size_t(1) << 20, kMaxString = 4096, kMaxList = 1024;
constexpr const char* kLayout =
    "a configuration is an object of the sections model, diffusion, data and train";
const std::vector<std::string> kSections = {"model", "diffusion", "data", "train", "$schema"};

class Reader : public nlohmann::json_sax<Json> {
 public:
  Reader(const std::string& origin, bool bare) : origin_(origin), bare_(bare) {}
  Settings settings;
  Value value;  // of a bare value, outside any object

  bool null() override { return scalar(nullptr); }
  bool boolean(bool b) override { return scalar(b); }
  bool number_integer(std::int64_t i) override { return scalar(i); }
  bool number_unsigned(std::uint64_t u) override {
    return u > std::uint64_t(INT64_MAX) ? scalar(double(u)) : scalar(std::int64_t(u));
  }
  bool number_float(double d, const std::string&) override { return scalar(d); }
  bool string(std::string& s) override {
    if (s.size() > kMaxString)
      fail(path(), cat("a text of ", s.size(), " bytes; at most ", kMaxString));
    auto bytes = json_unquoted(s);
    if (!bytes)
      fail(path(),
           "U+0000 without two digits of a byte from 80 to ff; haze writes so a "
           "name's byte that is not UTF-8");
    return scalar(std::move(*bytes));
  }
  bool binary(Json::binary_t&) override { return false; }

  bool start_object(std::size_t) override {
    if (bare_ || depth_ == 2) fail(path(), "{...}; a number, text, true, false or a list of them");
    if (in_list_) fail(path(), "{...}; lists are flat");
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool key(std::string& k) override {
    if (k.size() > kMaxString) fail("a key", cat(k.size(), " bytes long; at most ", kMaxString));
    if (depth_ == 1) {
      section_ = k;
      key_.clear();
      if (const auto guess = nearest(k, kSections); !known(k))
        fail(k, cat("no such section; ", guess.empty() ? kLayout : "did you mean " + guess + "?"));
      if (!sections_.insert(k).second) fail(k, "given twice; each section once");
    } else {
      key_ = k;
      if (settings.count(path())) fail(path(), "given twice; each key once");
    }
    return true;
  }
  bool start_array(std::size_t) override {
    if (in_list_) fail(path(), "[[...]]; lists are flat");
    if (!bare_ && depth_ != 2) fail(path(), cat("[...]; ", kLayout));
    in_list_ = true;
    list_ = {{}, true};
    return true;
  }
  bool end_array() override {
    in_list_ = false;
    store(list_);
    return true;
  }
  bool parse_error(std::size_t at, const std::string& token, const Json::exception& e) override {
    std::string what = e.what();
    if (const auto colon = what.find("]"); colon != what.npos) what.erase(0, colon + 2);
    if (e.id == 406) fail("a number", cat(token, "; it does not fit a double"));
    fail("not JSON", cat("at byte ", at, ": ", what));
  }

 private:
  [[noreturn]] void fail(const std::string& what, const std::string& rest) const {
    throw InputError(cat(origin_, ": ", what, what.empty() ? "" : ": ", rest));
  }
  static bool known(const std::string& section) {
    return std::ranges::find(kSections, section) != kSections.end();
  }
  std::string path() const {
    return section_.empty() || key_.empty() ? section_ : section_ + "." + key_;
  }
  bool scalar(Scalar s) {
    if (in_list_) {
      if (list_.items.size() >= kMaxList) fail(path(), cat("a longer list; at most ", kMaxList));
      list_.items.push_back(std::move(s));
    } else {
      store({{std::move(s)}, false});
    }
    return true;
  }
  void store(Value v) {
    if (bare_) {
      value = std::move(v);
    } else if (depth_ == 1 && section_ == "$schema") {
      // For editors; says nothing about the run.
    } else if (depth_ != 2) {
      fail(path(), cat(text_of(v), "; ", kLayout));
    } else {
      settings[path()] = {std::move(v), origin_};
    }
  }

  std::string origin_, section_, key_;
  bool bare_, in_list_ = false;
  int depth_ = 0;
  Value list_;
  std::set<std::string> sections_;
};

}  // namespace

Settings parse_settings(const std::string& json, const std::string& origin) {
  if (json.size() > kMaxBytes)
    throw InputError(
        cat(origin, ": ", json.size(), " bytes; a configuration has at most ", kMaxBytes));
  Reader reader(origin, false);
  Json::sax_parse(json, &reader);
  return std::move(reader.settings);
}

void parse_assignment(const std::string& assignment, const std::string& origin, Settings& into) {
  const auto equals = assignment.find('=');
  if (equals == assignment.npos || equals == 0)
    throw InputError(cat(origin, ": ", assignment, "; KEY=VALUE, as in train.batch_size=32"));
  const std::string key = assignment.substr(0, equals), text = assignment.substr(equals + 1);
  Setting setting{{{text}, false}, origin};
  // A text needs no quotes, be it "3" or "true"; with them, it is JSON's.
  const Key* known = find_key(key);
  RunConfig any;
  const bool text_key = known && std::holds_alternative<std::string*>(known->field(any));
  if ((!text_key || text.starts_with('"')) && Json::accept(text)) {
    Reader reader(cat(origin, " ", key), true);
    Json::sax_parse(text, &reader);
    setting.value = std::move(reader.value);
  }
  into[key] = std::move(setting);
}

}  // namespace haze::apps
