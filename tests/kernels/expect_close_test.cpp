// SPDX-License-Identifier: MIT
// expect_close_test.cpp — the comparison all other tests rest on: a NaN or infinity never passes.
#include <gtest/gtest-spi.h>

#include "tests/support/test.h"

namespace haze {
namespace {

const std::vector<double> kOne{1.0}, kNan{NAN}, kInf{INFINITY};

TEST(ExpectClose, FailsOnNanAndInfinityOnEitherSide) {
  EXPECT_NONFATAL_FAILURE(test::expect_close(kNan, kOne, 1, 1e9, "nan got"), "nan got");
  EXPECT_NONFATAL_FAILURE(test::expect_close(kOne, kNan, 1, 1e9, "nan wanted"), "nan wanted");
  EXPECT_NONFATAL_FAILURE(test::expect_close(kNan, kNan, 1, 1e9, "both nan"), "both nan");
  EXPECT_NONFATAL_FAILURE(test::expect_close(kInf, kInf, 1, 1e9, "both inf"), "both inf");
}

TEST(ExpectClose, ALaterFiniteValueDoesNotHideANan) {
  static const std::vector<double> got{1, NAN, 1, 5}, want{1, 1, 1, 4};
  EXPECT_NONFATAL_FAILURE(test::expect_close(got, want, 1, 1e9, "hidden"), "element 1 of 4");
}

TEST(ExpectClose, HoldsTheTolerance) {
  test::expect_close(std::vector{1.0 + 1e-7}, kOne, 1e-6, 0, "inside");
  EXPECT_NONFATAL_FAILURE(test::expect_close(std::vector{1.00001}, kOne, 1e-6, 0, "outside"),
                          "outside");
}

}  // namespace
}  // namespace haze
