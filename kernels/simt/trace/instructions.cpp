// SPDX-License-Identifier: MIT
#include "kernels/simt/trace/instructions.h"

#include <algorithm>
#include <bit>

namespace haze::simt {

void Cost::add(std::uint64_t t, std::uint64_t i) {
  ++instructions;
  transactions += t;
  ideal += i;
  if (i > 0) worst = std::max(worst, double(t) / double(i));
}
void Cost::add(const Cost& c) {
  instructions += c.instructions;
  transactions += c.transactions;
  ideal += c.ideal;
  worst = std::max(worst, c.worst);
}

Transactions wavefronts(const WarpAccess& access, unsigned bytes) {
  Transactions sum{0, 0};
  const int lanes_at_once = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
  for (int first = 0; first < 32; first += lanes_at_once) {
    std::uintptr_t words[64];
    unsigned n = 0;
    for (int lane = first; lane < first + lanes_at_once; ++lane)
      if (access.lanes >> lane & 1)
        for (unsigned b = 0; b < std::max(bytes, 4u); b += 4)
          words[n++] = (access.address[lane] + b) / 4;
    if (n == 0) continue;
    std::sort(words, words + n);
    n = unsigned(std::unique(words, words + n) - words);
    unsigned in_bank[32] = {};
    for (unsigned i = 0; i < n; ++i) ++in_bank[words[i] % 32];
    sum.count += *std::max_element(in_bank, in_bank + 32);
    sum.ideal += 1;
  }
  return sum;
}

Transactions sectors(const WarpAccess& access, unsigned bytes) {
  constexpr std::uintptr_t kSector = 32;
  std::uintptr_t starts[32];
  unsigned n = 0;
  for (std::uint32_t rest = access.lanes; rest; rest &= rest - 1)
    starts[n++] = access.address[std::countr_zero(rest)];
  if (!std::is_sorted(starts, starts + n)) std::sort(starts, starts + n);
  unsigned count = 0, different = 0;
  std::uintptr_t next_sector = 0, next_byte = 0;  // the first that is not counted yet
  for (unsigned i = 0; i < n; ++i) {
    const std::uintptr_t end = starts[i] + bytes;
    const std::uintptr_t from = std::max(starts[i], next_byte);
    if (from < end) different += unsigned(end - from);
    const std::uintptr_t sector = std::max(starts[i] / kSector, next_sector);
    const std::uintptr_t end_sector = (end - 1) / kSector + 1;
    if (sector < end_sector) count += unsigned(end_sector - sector);
    next_byte = std::max(next_byte, end);
    next_sector = std::max(next_sector, end_sector);
  }
  return {count, unsigned((different + kSector - 1) / kSector)};
}

unsigned Instructions::site_of(const void* pc, Space space, Access kind, unsigned bytes, By by) {
  // One address of code may touch both memories (cp.async), or one after the other (a pointer that
  // is chosen at run time).
  const std::uint64_t key = reinterpret_cast<std::uintptr_t>(pc) |
                            std::uint64_t(space == Space::shared) << 63 |
                            std::uint64_t(kind == Access::write) << 62 |
                            std::uint64_t(std::countr_zero(std::bit_ceil(bytes)) & 7) << 59;
  Recent& recent = recent_[(key ^ key >> 10 ^ key >> 59) % recent_.size()];
  if (recent.key == key) return recent.site;
  const auto [at, is_new] = index_.emplace(key, unsigned(sites_.size()));
  if (is_new) {
    if (sites_.size() == kSites) fail("the trace is full: %u places in the code", kSites);
    sites_.push_back({pc, space, kind, bytes, by});
  }
  recent = {key, at->second};
  return at->second;
}

void Instructions::begin_block(int threads) {
  warps_.clear();
  for (int first = 0; first < threads; first += 32)
    warps_.push_back({threads - first >= 32 ? ~0u : (1u << (threads - first)) - 1, {}});
}

void Instructions::add(unsigned site, int warp, int lane, std::uintptr_t address) {
  Warp& w = warps_[std::size_t(warp)];
  if (w.at.size() <= site) w.at.resize(site + 1);
  Pending& p = w.at[site];
  const std::size_t k = p.made[lane]++ - p.complete;
  if (k >= p.open.size()) p.open.resize(k + 1);
  WarpAccess& access = p.open[k];
  access.address[lane] = address;
  access.lanes |= 1u << lane;
  if (k > 0 || access.lanes != w.lanes) return;
  std::size_t done = 0;
  while (done < p.open.size() && p.open[done].lanes == w.lanes) done_(site, p.open[done++]);
  p.open.erase(p.open.begin(), p.open.begin() + std::ptrdiff_t(done));
  p.complete += std::uint32_t(done);
}

void Instructions::end_block() {
  for (Warp& w : warps_)
    for (unsigned site = 0; site < w.at.size(); ++site)
      for (const WarpAccess& access : w.at[site].open) done_(site, access);
  warps_.clear();
}

}  // namespace haze::simt
