// SPDX-License-Identifier: MIT
// json_writer.h — JSON text, written in order. config/parse.cpp and `haze bench compare` read some.
#pragma once
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace haze::apps {

/// "text" with JSON's escapes. JSON is UTF-8, names of files need not be: a byte that is not UTF-8 is
/// written as U+0000, which no name has, and its two hexadecimal digits: "caf\xe9" as "caf\u0000e9".
/// A U+0000 of the text itself becomes U+FFFD.
std::string json_quoted(std::string_view text);
/// The bytes that json_quoted() was given, from the text that a JSON reader makes of it; nothing where
/// a U+0000 is followed by other than the digits of a byte.
std::optional<std::string> json_unquoted(std::string_view text);
/// The shortest decimal that reads back as the same number; "null" for NaN and infinity.
std::string json_number(double value);
std::string json_number(float value);
/// "from 0.001 to 1", both ends belonging to it; 1073741824, not 1.07374e+09.
std::string range_text(double min, double max);

/// Builds one document. With `indent` 0 it is a single line, as metrics.jsonl wants.
class JsonWriter {
 public:
  explicit JsonWriter(int indent = 2) : indent_(indent) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);
  /// Text that is JSON already.
  JsonWriter& raw(std::string_view json);
  JsonWriter& value(std::string_view text) { return raw(json_quoted(text)); }
  JsonWriter& value(const char* text) { return raw(json_quoted(text)); }
  JsonWriter& value(bool b) { return raw(b ? "true" : "false"); }
  JsonWriter& value(std::floating_point auto x) { return raw(json_number(x)); }
  JsonWriter& value(std::integral auto x) { return raw(std::to_string(x)); }
  /// key and value in one.
  template <class T>
  JsonWriter& field(std::string_view name, const T& v) {
    return key(name).value(v);
  }
  const std::string& text() const { return text_; }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  void separate();
  void new_line();

  int indent_;
  bool after_key_ = false;
  std::vector<bool> filled_;  // per open bracket: has it an element yet
  std::string text_;
};

}  // namespace haze::apps
