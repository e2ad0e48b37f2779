// SPDX-License-Identifier: MIT
// ready_set.h — the runnable threads of a block by priority: a bitmap over ranks, so that the next
// one is two find-first-set instructions away.
#pragma once
#include <bit>
#include <cstdint>
#include <utility>

namespace haze::simt {

class ReadySet {
 public:
  static constexpr int kMost = 1024;
  /// Thread of rank r, 0 runs first: given by order[r], r < n. Nobody is runnable.
  template <class Order>
  void reset(int n, Order order) {
    for (auto& word : words_) word = 0;
    summary_ = 0;
    for (int r = 0; r < n; ++r) {
      thread_[r] = std::uint16_t(order(r));
      rank_[thread_[r]] = std::uint16_t(r);
    }
  }
  bool empty() const { return summary_ == 0; }
  void insert(int thread) { set(rank_[thread], true); }
  /// Removes and returns the first.
  int take() {
    const int word = std::countr_zero(summary_), rank = word * 64 + std::countr_zero(words_[word]);
    set(rank, false);
    return thread_[rank];
  }
  /// Two threads exchange their ranks.
  void swap(int a, int b) {
    const int ra = rank_[a], rb = rank_[b];
    const bool has_a = has(ra), has_b = has(rb);
    std::swap(rank_[a], rank_[b]);
    std::swap(thread_[ra], thread_[rb]);
    set(ra, has_b);
    set(rb, has_a);
  }

 private:
  bool has(int rank) const { return words_[rank / 64] >> (rank % 64) & 1; }
  void set(int rank, bool on) {
    std::uint64_t& word = words_[rank / 64];
    const std::uint64_t bit = std::uint64_t{1} << (rank % 64);
    word = on ? word | bit : word & ~bit;
    const std::uint32_t flag = std::uint32_t{1} << (rank / 64);
    summary_ = word ? summary_ | flag : summary_ & ~flag;
  }
  std::uint64_t words_[kMost / 64] = {};
  std::uint32_t summary_ = 0;  // bit w: words_[w] is not empty
  std::uint16_t rank_[kMost] = {}, thread_[kMost] = {};
};

}  // namespace haze::simt
