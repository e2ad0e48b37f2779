// SPDX-License-Identifier: MIT
#include "apps/json_writer.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "kernels/base/check.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

template <class T>
std::string shortest(T value) {
  if (!std::isfinite(value)) return "null";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return {buffer, end};
}

}  // namespace

std::string json_number(double value) { return shortest(value); }
std::string json_number(float value) { return shortest(value); }

std::string json_quoted(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t n = utf8_length(text);
    const char c = text[0];
    if (n == 0) {
      out += "\\u0000";
      out += kHex[std::uint8_t(c) >> 4];
      out += kHex[c & 15];
    } else if (c == '\0')
      out += "\\ufffd";
    else if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\xC2' && static_cast<unsigned char>(text[1]) < 0xA0) {  // U+0080 to U+009F
      out += "\\u00";
      out += kHex[(text[1] >> 4) & 15];
      out += kHex[text[1] & 15];
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return out += '"';
}

std::optional<std::string> json_unquoted(std::string_view text) {
  std::string bytes;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\0') {
      bytes += text[at];
      continue;
    }
    unsigned byte = 0;
    const char* end = text.data() + std::min(at + 3, text.size());
    const auto read = std::from_chars(text.data() + at + 1, end, byte, 16);
    if (read.ec != std::errc() || read.ptr != text.data() + at + 3 || byte < 0x80) return {};
    bytes += char(byte);
    at += 2;
  }
  return bytes;
}

void JsonWriter::new_line() {
  if (indent_ == 0) return;
  text_ += '\n';
  text_.append(filled_.size() * std::size_t(indent_), ' ');
}

void JsonWriter::separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (filled_.empty()) return;
  if (filled_.back()) text_ += indent_ ? "," : ", ";
  filled_.back() = true;
  new_line();
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  text_ += bracket;
  filled_.push_back(false);
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  const bool filled = filled_.back();
  filled_.pop_back();
  if (filled) new_line();
  text_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  text_ += json_quoted(name);
  text_ += ": ";
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  separate();
  text_ += json;
  return *this;
}

std::string range_text(double min, double max) {
  const auto plain = [](double x) {
    return x == std::floor(x) ? std::to_string(std::int64_t(x)) : json_number(x);
  };
  return cat("from ", plain(min), " to ", plain(max));
}

}  // namespace haze::apps
