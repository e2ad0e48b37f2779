// SPDX-License-Identifier: MIT
#include "engine/permutation.h"

#include <limits>

#include "engine/random.h"
#include "kernels/base/check.h"

namespace haze::engine {

// Four rounds make a Feistel network a strong pseudorandom permutation; tiny domains, whose halves
// hold one or two bits, need some more before every order can come out.
constexpr std::uint32_t kRounds = 8;

Permutation::Permutation(std::uint32_t n, std::uint64_t seed, std::uint32_t epoch)
    : seed_(seed), n_(n), epoch_(epoch), half_bits_(1) {
  HAZE_CHECK(n >= 1, "a permutation needs elements, got n=", n);
  while (std::uint64_t{1} << (2 * half_bits_) < n) ++half_bits_;
}

std::uint32_t Permutation::operator()(std::uint32_t position) const {
  HAZE_CHECK(position < n_, "position ", position, " is not below n=", n_);
  const std::uint32_t mask = (std::uint32_t{1} << half_bits_) - 1;
  const RandomKey key{seed_, streams::kOrder, epoch_};
  std::uint64_t x = position;
  do {
    std::uint32_t left = std::uint32_t(x >> half_bits_), right = std::uint32_t(x) & mask;
    for (std::uint32_t round = 0; round < kRounds; ++round) {
      const std::uint32_t mixed = left ^ (random4(key, right, round).v[0] & mask);
      left = right;
      right = mixed;
    }
    x = std::uint64_t{left} << half_bits_ | right;
  } while (x >= n_);
  return std::uint32_t(x);
}

std::uint32_t data_index(std::uint32_t n, std::uint64_t seed, std::uint64_t sample) {
  HAZE_CHECK(n >= 1 && sample / n <= std::numeric_limits<std::uint32_t>::max(), "sample ", sample,
             " of n=", n, " lies beyond the last epoch");
  return Permutation(n, seed, std::uint32_t(sample / n))(std::uint32_t(sample % n));
}

}  // namespace haze::engine
