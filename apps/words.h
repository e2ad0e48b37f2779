// SPDX-License-Identifier: MIT
// words.h — the words for the values of enumerations, as configuration keys, flags, the help, the
// recipes in pictures and the JSON Schema all spell them: one table per enumeration.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace haze::apps {

/// The words for the values 0, 1, ... of the enumeration E, a std::array<std::string_view>. Each
/// table is a specialisation made by words_for:
///   template <>
///   inline constexpr auto kWords<Color> = words_for<Color>("auto", "always", "never");
template <class E>
inline constexpr std::nullptr_t kWords = nullptr;

template <class E>
concept HasWords =
    std::is_enum_v<E> && !std::is_null_pointer_v<std::remove_cv_t<decltype(kWords<E>)>>;

/// Whether the value has a name: the compiler spells any other as a cast, "(Color)3".
template <auto value>
consteval bool is_enumerator() {
  constexpr std::string_view kBefore = "value = ";
  const std::string_view spelling = __PRETTY_FUNCTION__;
  return spelling[spelling.find(kBefore) + kBefore.size()] != '(';
}

/// A table of words that has one for every enumerator of E; another number does not compile.
template <class E, class... Word>
consteval auto words_for(Word... words) {
  constexpr std::size_t count = sizeof...(words);
  static_assert(is_enumerator<E(count - 1)>() && !is_enumerator<E(count)>(),
                "one word for each enumerator");
  return std::array<std::string_view, count>{words...};
}

template <HasWords E>
constexpr const char* name_of(E value) {
  return kWords<E>[std::size_t(value)].data();  // of a literal: it ends in a 0
}

/// The value that the word names.
template <HasWords E>
constexpr std::optional<E> value_of(std::string_view word) {
  const auto at = std::ranges::find(kWords<E>, word);
  if (at == kWords<E>.end()) return {};
  return E(at - kWords<E>.begin());
}

/// All words of E, in the order of its values.
template <HasWords E>
std::vector<std::string> words_of() {
  return {kWords<E>.begin(), kWords<E>.end()};
}

/// "a, b, c" with the separator ", ".
template <class Words>
std::string joined(const Words& words, std::string_view separator) {
  std::string text;
  for (const auto& word : words) {
    if (&word != &*std::begin(words)) text += separator;
    text += word;
  }
  return text;
}

}  // namespace haze::apps
