// SPDX-License-Identifier: MIT
#include "apps/suggest.h"

#include <algorithm>

namespace haze::apps {

int edit_distance(std::string_view a, std::string_view b) {
  const std::size_t rows = a.size() + 1, columns = b.size() + 1;
  std::vector<std::vector<int>> d(rows, std::vector<int>(columns));
  for (std::size_t i = 0; i < rows; ++i) d[i][0] = int(i);
  for (std::size_t j = 0; j < columns; ++j) d[0][j] = int(j);
  for (std::size_t i = 1; i < rows; ++i)
    for (std::size_t j = 1; j < columns; ++j) {
      const bool same = a[i - 1] == b[j - 1];
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + !same});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[rows - 1][columns - 1];
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  constexpr std::size_t kLongest = 128;  // longer words are no slip of the finger
  std::string best;
  if (word.empty() || word.size() > kLongest) return best;
  int least = std::max(1, int(word.size()) / 3) + 1;
  for (const std::string& k : known)
    if (const int d = edit_distance(word, k); d < least) least = d, best = k;
  return best;
}

}  // namespace haze::apps
