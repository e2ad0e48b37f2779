// SPDX-License-Identifier: MIT
// compiler_test.cpp — the host compiler, with the flags that emulated kernels are compiled with,
// computes what the source says.
#include "tests/support/test.h"

namespace haze {
namespace {

/// Four sums under one condition, whose terms lie in another order than they are read in. g++ 12.2
/// -O3 -fno-trapping-math makes one vector of them and exchanges lanes between the passes of the
/// loop: single-threaded C++, with nothing of the emulator in it. Group normalisation adds up its
/// registers like this (`if (k < held) sum[i] += ...`).
[[gnu::noinline]] void four_sums(const float* x, int n, int held, float* to) {
  float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (int k = 0; k < n; ++k)
    if (k < held) {
      s2 += x[4 * k + 2];
      s0 += x[4 * k];
      s3 += x[4 * k + 3];
      s1 += x[4 * k + 1];
    }
  to[0] = s0, to[1] = s1, to[2] = s2, to[3] = s3;
}

TEST(Compiler, KeepsSumsUnderAConditionApart) {
  float x[32];
  for (int i = 0; i < 32; ++i) x[i] = float(i);
  for (int held = 0; held <= 8; ++held) {
    float sums[4];
    four_sums(x, 8, held, sums);
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(sums[i], float(held * (2 * (held - 1) + i))) << "sum " << i << " of " << held;
  }
}

}  // namespace
}  // namespace haze
