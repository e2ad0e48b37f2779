// SPDX-License-Identifier: MIT
// suggest.h — "did you mean": one helper for configuration keys, flags, subcommands and names.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace haze::apps {

/// Number of insertions, deletions, substitutions and swaps of neighbours between a and b.
int edit_distance(std::string_view a, std::string_view b);

/// The known word nearest to `word`, or "" if none is near enough to be what was meant.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace haze::apps
