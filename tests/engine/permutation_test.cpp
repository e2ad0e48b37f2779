// SPDX-License-Identifier: MIT
#include "engine/permutation.h"

#include <set>

#include "kernels/base/check.h"
#include "tests/support/test.h"

namespace haze::engine {
namespace {

std::vector<std::uint32_t> order(std::uint32_t n, std::uint64_t seed, std::uint32_t epoch) {
  const Permutation p(n, seed, epoch);
  std::vector<std::uint32_t> all(n);
  for (std::uint32_t i = 0; i < n; ++i) all[i] = p(i);
  return all;
}

TEST(Permutation, VisitsEveryElementOnce) {
  for (const std::uint32_t n : {1u, 2u, 3u, 10u, 16u, 17u, 1000u, 60000u})
    for (std::uint32_t epoch = 0; epoch < 3; ++epoch) {
      auto all = order(n, 5, epoch);
      std::sort(all.begin(), all.end());
      for (std::uint32_t i = 0; i < n; ++i) ASSERT_EQ(all[i], i) << "n=" << n;
    }
}

TEST(Permutation, StaysBelowTheLargestSize) {
  const std::uint32_t n = 0xFFFFFFFFu;
  const Permutation p(n, 1, 2);
  std::set<std::uint32_t> seen;
  for (std::uint32_t i = 0; i < 1000; ++i) seen.insert(p(n - 1 - i));
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_LT(*seen.rbegin(), n);
}

TEST(Permutation, DependsOnSeedAndEpoch) {
  const auto base = order(1000, 7, 0);
  EXPECT_EQ(base, order(1000, 7, 0));
  // Two shuffles of 1000 agree in one place on average; ten or more has chance 1e-7.
  for (const auto& other :
       {order(1000, 7, 1), order(1000, 8, 0), order(1000, 7 + (1ull << 32), 0)}) {
    int same = 0;
    for (std::size_t i = 0; i < base.size(); ++i) same += base[i] == other[i];
    EXPECT_LT(same, 10);
  }
}

TEST(Permutation, SmallSizesReachEveryOrder) {
  std::set<std::vector<std::uint32_t>> two, three, four;
  for (std::uint32_t epoch = 0; epoch < 500; ++epoch) {
    two.insert(order(2, 3, epoch));
    three.insert(order(3, 3, epoch));
    four.insert(order(4, 3, epoch));
  }
  EXPECT_EQ(two.size(), 2u);
  EXPECT_EQ(three.size(), 6u);
  EXPECT_GE(four.size(), 12u);  // a Feistel network on single bits may reach the even orders only
}

// Against a uniform shuffle: position and value uncorrelated, neighbours not kept together, and the
// value at a fixed position uniform over epochs.
TEST(Permutation, LooksShuffled) {
  const std::uint32_t n = 10000;
  const auto all = order(n, 11, 0);
  double sum = 0;
  int neighbours = 0;
  for (std::uint32_t i = 0; i < n; ++i) {
    sum += (i / double(n) - 0.5) * (all[i] / double(n) - 0.5) * 12 / n;
    if (i) neighbours += std::abs(double(all[i]) - double(all[i - 1])) == 1;
  }
  EXPECT_LT(std::abs(sum), 5 / std::sqrt(double(n)));  // the correlation's deviation is 1/sqrt(n)
  EXPECT_LT(neighbours, 16);                           // Poisson with mean 2

  std::vector<double> counts(10);
  for (std::uint32_t epoch = 0; epoch < 10000; ++epoch) ++counts[Permutation(10, 11, epoch)(4)];
  double chi2 = 0;
  for (const double c : counts) chi2 += (c - 1000) * (c - 1000) / 1000;
  EXPECT_LT(chi2, 33.7);  // chi² of 9 degrees of freedom passes this with chance 1e-4
}

TEST(Permutation, DataIndexRunsThroughEpochs) {
  const std::uint32_t n = 37;
  for (std::uint32_t epoch = 0; epoch < 4; ++epoch) {
    const auto want = order(n, 2, epoch);
    for (std::uint32_t i = 0; i < n; ++i) EXPECT_EQ(data_index(n, 2, epoch * n + i), want[i]);
  }
}

TEST(Permutation, RefusesBrokenPreconditions) {
  EXPECT_THROW(Permutation(0, 0, 0), CheckError);
  EXPECT_THROW(Permutation(5, 0, 0)(5), CheckError);
  EXPECT_THROW(data_index(2, 0, 1ull << 34), CheckError);
}

}  // namespace
}  // namespace haze::engine
