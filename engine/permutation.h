// SPDX-License-Identifier: MIT
// permutation.h — the order of the data: a shuffle of [0, n) that is a pure function of
// (seed, epoch, position), so that no order is stored and a resumed run needs only its step.
#pragma once
#include <cstdint>

namespace haze::engine {

/// A bijection of [0, n), evaluated in O(1) time and memory: a balanced Feistel
/// network (Luby and Rackoff, "How to construct pseudorandom permutations from
/// pseudorandom functions", 1988) with Philox as the round function, on the
/// smallest domain 4^k >= n, walked until it lands below n (Black and Rogaway,
/// "Ciphers with arbitrary finite domains", 2002): fewer than 4 walks on average.
class Permutation {
 public:
  /// Precondition: n >= 1. Another seed or epoch gives another order.
  Permutation(std::uint32_t n, std::uint64_t seed, std::uint32_t epoch);
  /// Precondition: position < n.
  std::uint32_t operator()(std::uint32_t position) const;

 private:
  std::uint64_t seed_;
  std::uint32_t n_, epoch_;
  int half_bits_;  // the domain is [0, 4^half_bits_)
};

/// Index of the image that is drawn as the `sample`-th of a whole run (step·batch + place in the
/// batch): each epoch runs through all n images once, and a batch may span two epochs.
std::uint32_t data_index(std::uint32_t n, std::uint64_t seed, std::uint64_t sample);

}  // namespace haze::engine
