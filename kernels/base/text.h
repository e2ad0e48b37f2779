// SPDX-License-Identifier: MIT
// text.h — numbers and lists from text, and shapes as text: for flags, file names and metadata.
#pragma once
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace haze {

template <class T>
concept Number = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

/// The number that the whole text is, in decimal digits: none for an empty text, spaces, a '+', a
/// '-' before an unsigned number, anything behind the number, or one that T cannot hold. Of
/// floating-point numbers also an exponent, inf and nan.
template <Number T>
std::optional<T> parse_number(std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return number;
}

/// The same within [least, most]; NaN is outside.
template <Number T>
std::optional<T> parse_number(std::string_view text, T least, T most) {
  const auto number = parse_number<T>(text);
  if (!number || !(*number >= least && *number <= most)) return {};
  return number;
}

/// The decimal digits that the text begins with.
inline std::string_view leading_digits(std::string_view text) {
  return text.substr(0, text.find_first_not_of("0123456789"));
}

/// The text with A to Z in lower case, in ASCII alone, whatever the locale.
inline std::string lower(std::string_view text) {
  std::string small(text);
  for (char& c : small)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  return small;
}

/// A number as printf writes it: format_number("%.3g", 0.5).
inline std::string format_number(const char* format, double number) {
  char text[400];  // "%f" of the largest double has 316 characters
  std::snprintf(text, sizeof text, format, number);
  return text;
}

/// Length of the UTF-8 sequence at the start of `s` (RFC 3629), 0 if there is none.
inline std::size_t utf8_length(std::string_view s) {
  const auto byte = [&](std::size_t i) { return i < s.size() ? std::uint8_t(s[i]) : 0u; };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned b = byte(0);
  if (b < 0x80) return 1;
  if (b >= 0xC2 && b <= 0xDF) return tail(1) ? 2 : 0;
  if (b >= 0xE0 && b <= 0xEF) {
    const bool overlong = b == 0xE0 && byte(1) < 0xA0, surrogate = b == 0xED && byte(1) > 0x9F;
    return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (b >= 0xF0 && b <= 0xF4) {
    const bool overlong = b == 0xF0 && byte(1) < 0x90, beyond = b == 0xF4 && byte(1) > 0x8F;
    return tail(1) && tail(2) && tail(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

/// What lies between the separators: one part more than there are separators.
inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= text.size(); at += parts.back().size() + 1)
    parts.push_back(text.substr(at, text.find(separator, at) - at));
  return parts;
}

/// "[64,28,28,32]"
template <class Extents>
std::string shape_text(const Extents& extents) {
  std::string text = "[";
  for (const auto extent : extents) text += (text.size() > 1 ? "," : "") + std::to_string(extent);
  return text + "]";
}

}  // namespace haze
