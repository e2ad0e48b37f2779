// SPDX-License-Identifier: MIT
// idx_rules.h — what an IDX file holds, by the format's own words.
#pragma once
#include <optional>

#include "apps/data/idx.h"
#include "tests/fuzz/gunzip.h"

namespace haze::fuzz {

struct ExpectedIdx {
  bool judged = true;            // else: too long to be inflated here
  std::optional<apps::Idx> idx;  // nothing: must be refused
};
inline ExpectedIdx expected_idx(Input file, std::size_t rank) {
  Bytes content(file.begin(), file.end());
  if (is_packed(file)) {
    const Gunzipped g = gunzip(file);
    if (g.too_long) return {false, {}};
    if (!g.content) return {};
    content = *g.content;
  }
  const std::size_t head = 4 + 4 * rank;
  if (content.size() < head || content[0] || content[1] || content[2] != 8 || content[3] != rank)
    return {};
  apps::Idx idx;
  double product = 1;  // exact below 2^53; more than any content is refused all the same
  for (std::size_t at = 4; at < head; at += 4) {
    idx.dims.push_back(std::uint32_t{content[at]} << 24 | std::uint32_t{content[at + 1]} << 16 |
                       std::uint32_t{content[at + 2]} << 8 | content[at + 3]);
    product *= idx.dims.back();
  }
  if (product == 0 || product != double(content.size() - head)) return {};
  idx.data.assign(content.begin() + std::ptrdiff_t(head), content.end());
  return {true, idx};
}

}  // namespace haze::fuzz
