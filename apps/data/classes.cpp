// SPDX-License-Identifier: MIT
#include "apps/data/classes.h"

#include <algorithm>

#include "apps/data/input_file.h"
#include "kernels/base/check.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }

/// The digits that text starts with, without leading zeros, and how long they are with them.
std::pair<std::string_view, std::size_t> number_at(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() && digit(text[end])) ++end;
  const std::size_t first = std::min(text.find_first_not_of('0'), end);
  return {text.substr(first, end - first), end};
}

}  // namespace

bool natural_less(std::string_view a, std::string_view b) {
  const std::string_view whole_a = a, whole_b = b;
  while (!a.empty() && !b.empty()) {
    if (digit(a[0]) && digit(b[0])) {
      const auto [x, x_length] = number_at(a);
      const auto [y, y_length] = number_at(b);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
      a.remove_prefix(x_length), b.remove_prefix(y_length);
    } else {
      const auto x = std::uint8_t(a[0]), y = std::uint8_t(b[0]);
      if (x != y) return x < y;
      a.remove_prefix(1), b.remove_prefix(1);
    }
  }
  if (a.empty() != b.empty()) return a.empty();
  return whole_a < whole_b;  // they differ in leading zeros at most
}

std::string class_text(int number, const ClassNames& names) {
  const std::string text = std::to_string(number);
  if (number < 0 || std::size_t(number) >= names.size() || names[std::size_t(number)] == text)
    return text;
  return cat(text, " (", names[std::size_t(number)], ")");
}

std::string classes_text(int count, const ClassNames& names) {
  constexpr int kMost = 20;
  bool plain = true;
  std::string all;
  for (int i = 0; i < count; ++i) {
    const std::string one = class_text(i, names);
    plain = plain && one == std::to_string(i);
    if (i < kMost) all += (i == 0 ? "" : ", ") + one;
  }
  return plain ? cat("0 to ", count - 1) : all + (count > kMost ? ", ..." : "");
}

std::optional<int> class_number(const std::string& asked, int count, const ClassNames& names) {
  const auto at = std::ranges::find(names, printable(asked));
  if (at != names.end() && at - names.begin() < count) return int(at - names.begin());
  return parse_number<int>(asked, 0, count - 1);
}

void renumber(std::vector<std::int32_t>& labels, const ClassNames& from, const ClassNames& to,
              const std::string& what) {
  if (from == to) return;
  std::vector<std::int32_t> number;
  for (const std::string& name : from) {
    const auto at = std::ranges::find(to, name);
    number.push_back(at == to.end() ? -1 : std::int32_t(at - to.begin()));
  }
  for (std::int32_t& label : labels) {
    const bool named = label >= 0 && std::size_t(label) < from.size();
    const std::int32_t now = named ? number[std::size_t(label)] : -1;
    if (now < 0)
      throw InputError(cat(what, " has the class ", class_text(label, from), ", which is none of ",
                           classes_text(int(to.size()), to)));
    label = now;
  }
}

std::string class_lines(const ClassNames& names) {
  constexpr std::size_t kMost = 256 << 10;
  std::string lines;
  for (const std::string& name : names) lines += (lines.empty() ? "" : "\n") + name;
  if (lines.size() > kMost)
    throw InputError(cat(names.size(), " classes with names of ", lines.size(), " bytes; at most ",
                         kMost, " bytes are kept with a network"));
  return lines;
}

}  // namespace haze::apps
