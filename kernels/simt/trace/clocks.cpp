// SPDX-License-Identifier: MIT
#include "kernels/simt/trace/clocks.h"

#include <algorithm>

namespace haze::simt {

void Clocks::begin_launch() {
  launch_start_ = now_++;
  objects_.clear();
  releases_.clear();
  blocks_.clear();
  history_.clear();
  looked_up_ = -1;
}

void Clocks::begin_block(int threads, unsigned block) {
  threads_ = threads;
  block_start_ = floor_ = now_++;
  const auto n = std::size_t(threads);
  copies_known_.assign(n, 0);
  copies_done_.assign(n, 0);
  rows_.assign(n, nullptr);
  fenced_.assign(n, nullptr);
  seen_.assign(n, -1);
  any_fence_ = any_seen_ = false;
  blocks_.emplace_back(block_start_, block);
}

unsigned Clocks::block_at(Time time) const {
  const auto next = std::ranges::upper_bound(blocks_, time, {}, [](auto& b) { return b.first; });
  return next == blocks_.begin() ? 0 : std::prev(next)->second;
}

Clocks::Row Clocks::knowledge(int thread) const {
  auto row = rows_[std::size_t(thread)] ? *rows_[std::size_t(thread)]
                                        : std::vector<Time>(std::size_t(threads_) * 2);
  for (std::size_t i = 0; i < std::size_t(threads_); ++i) {
    row[i] = std::max(row[i], floor_);
    auto& copies = row[std::size_t(threads_) + i];
    copies = std::max(copies, copies_known_[i]);
  }
  row[std::size_t(thread)] = now_;
  row[std::size_t(threads_ + thread)] = copies_done_[std::size_t(thread)];
  return std::make_shared<const std::vector<Time>>(std::move(row));
}

Clocks::Row Clocks::joined(const Row& a, const Row& b) const {
  if (!a || !b || a == b) return a ? a : b;
  auto row = *a;
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = std::max(row[i], (*b)[i]);
  return std::make_shared<const std::vector<Time>>(std::move(row));
}

int Clocks::joined(int a, int b) {
  if (a < 0 || b < 0 || a == b) return std::max(a, b);
  releases_.push_back({~0u, nullptr, a, b});
  return int(releases_.size()) - 1;
}

void Clocks::synchronise(const std::uint16_t* threads, int n) {
  const bool everybody = n == threads_;
  Row fenced;
  int seen = -1;
  if (any_fence_)
    for (int i = 0; i < n; ++i) fenced = joined(fenced, fenced_[threads[i]]);
  if (any_seen_)
    for (int i = 0; i < n; ++i) seen = joined(seen, seen_[threads[i]]);
  Row common;
  if (everybody) {
    floor_ = now_;
    copies_known_ = copies_done_;
  } else {
    std::vector<Time> row(std::size_t(threads_) * 2);
    const std::vector<Time>* last = nullptr;
    for (int i = 0; i < n; ++i) {
      const Row& known = rows_[threads[i]];
      if (!known || known.get() == last) continue;  // neighbours often share theirs
      last = known.get();
      for (std::size_t k = 0; k < row.size(); ++k) row[k] = std::max(row[k], (*last)[k]);
    }
    for (int i = 0; i < n; ++i) {
      row[threads[i]] = now_;
      row[std::size_t(threads_ + threads[i])] = copies_done_[threads[i]];
    }
    common = std::make_shared<const std::vector<Time>>(std::move(row));
  }
  for (int i = 0; i < n; ++i) rows_[threads[i]] = common;
  if (any_fence_)
    for (int i = 0; i < n; ++i) fenced_[threads[i]] = fenced;
  if (any_seen_)
    for (int i = 0; i < n; ++i) seen_[threads[i]] = seen;
  ++now_;
}

void Clocks::fence(int thread) {
  fenced_[std::size_t(thread)] = knowledge(thread);
  any_fence_ = true;
  ++now_;
}

void Clocks::join(int thread, Time copy) {
  Time& done = copies_done_[std::size_t(thread)];
  done = std::max(done, copy);
}

void Clocks::atomic(int thread, const void* object) {
  const auto t = std::size_t(thread);
  const unsigned block = blocks_.back().second;
  Object& o = objects_[object];
  if (o.block != block) o.row = nullptr;
  o.block = block;
  const Row mine = fenced_[t];
  rows_[t] = joined(rows_[t], o.row);
  const int before = seen_[t];
  seen_[t] = joined(before, o.release);
  any_seen_ |= seen_[t] >= 0;
  if (!mine && before < 0) return;  // nothing to release
  o.row = joined(o.row, mine);
  releases_.push_back({block, mine, o.release, before});
  o.release = int(releases_.size()) - 1;
}

bool Clocks::ordered(Time time, unsigned agent, int thread) const {
  const auto t = std::size_t(thread);
  if (time <= block_start_) return seen_[t] >= 0 && released(seen_[t], time, agent);
  const Row& row = rows_[t];
  if (agent >= kCopiesOf) {
    const std::size_t owner = agent - kCopiesOf;
    return time <= copies_known_[owner] || (owner == t && time <= copies_done_[t]) ||
           (row && time <= of(row, agent));
  }
  return agent == t || time <= floor_ || (row && time <= of(row, agent));
}

/// An access of another block: is it among what the releases up to this one had fenced?
bool Clocks::released(int release, Time time, unsigned agent) const {
  if (looked_up_ != release) {
    looked_up_ = release;
    history_.clear();
    std::vector<char> visited(releases_.size());
    for (std::vector<int> open{release}; !open.empty();) {
      const int at = open.back();
      open.pop_back();
      if (at < 0 || visited[std::size_t(at)]) continue;
      visited[std::size_t(at)] = 1;
      const Release& r = releases_[std::size_t(at)];
      if (r.row) history_[r.block].push_back(r.row);
      open.push_back(r.before);
      open.push_back(r.seen);
    }
  }
  const auto rows = history_.find(block_at(time));
  return rows != history_.end() &&
         std::ranges::any_of(rows->second, [&](const Row& r) { return time <= of(r, agent); });
}

}  // namespace haze::simt
