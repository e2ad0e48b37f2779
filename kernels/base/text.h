// SPDX-License-Identifier: MIT
// text.h — numbers and lists from text, and shapes as text: for flags, file names and metadata.
#pragma once
#include <charconv>
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
