// SPDX-License-Identifier: MIT
// divide_test.cpp — division by multiplication and shift, at the borders where it could be off.
#include "kernels/base/divide.h"

#include "tests/support/test.h"

namespace haze {
namespace {

TEST(Divide, IsExactForAllNonNegativeIntegers) {
  constexpr int kMost = 0x7fffffff;
  std::vector<int> divisors{1,         2,    3, 7, 64, 641, 65535, 65536, 65537, kMost / 2 + 1,
                            kMost - 1, kMost};
  std::mt19937 gen(1);
  for (int i = 0; i < 200; ++i) divisors.push_back(int(gen() >> (1 + i % 31)) | 1);
  for (const int d : divisors) {
    const kernels::Divide by(d);
    const auto expect = [&](int n) {
      ASSERT_EQ(by.quotient(n), n / d) << n << " / " << d;
      ASSERT_EQ(by.remainder(n, n / d), n % d) << n << " % " << d;
    };
    expect(0), expect(kMost), expect(d), expect(d - 1);
    for (int i = 0; i < 200; ++i) {
      const int n = int(gen() >> 1), whole = n / d * d;  // around a multiple
      expect(n), expect(whole);
      if (whole > 0) expect(whole - 1);
    }
  }
}

}  // namespace
}  // namespace haze
