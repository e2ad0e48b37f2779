// SPDX-License-Identifier: MIT
#include "tests/fuzz/errors.h"

#include "apps/data/input_file.h"

namespace haze::fuzz {
namespace {

// The longest texts name a path of 4,096 bytes, all of whose bytes may be written \xNN.
constexpr std::size_t kLongest = 20'000;

/// The next code point, taken off `text`; -1 for what is not UTF-8.
std::int64_t take_code_point(std::string_view& text) {
  const auto first = std::uint8_t(text[0]);
  const int more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
  if ((first >= 0x80 && first < 0xC0) || first >= 0xF8 || text.size() < std::size_t(more) + 1)
    return -1;
  std::int64_t code = more == 0 ? first : first & (0x3F >> more);
  for (int i = 1; i <= more; ++i) {
    const auto next = std::uint8_t(text[std::size_t(i)]);
    if (next >> 6 != 2) return -1;
    code = code << 6 | (next & 0x3F);
  }
  constexpr std::int64_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  if (code < kLeast[more] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return -1;
  text.remove_prefix(std::size_t(more) + 1);
  return code;
}

}  // namespace

bool fit_for_terminal(std::string_view text) {
  while (!text.empty()) {
    const std::int64_t code = take_code_point(text);
    if (code < 0x20 || (code >= 0x7F && code < 0xA0)) return false;  // -1 too
  }
  return true;
}

void check_message(std::string_view text, Message as) {
  const std::string shown = as == Message::said ? apps::printable(text) : std::string(text);
  promise(!shown.empty(), "an error without a text");
  promise(fit_for_terminal(shown),
          "an error that is not one line of printable text: ", apps::printable(shown));
  promise(shown.size() <= kLongest, "an error of ", shown.size(), " bytes: ", shown.substr(0, 200));
}

}  // namespace haze::fuzz
