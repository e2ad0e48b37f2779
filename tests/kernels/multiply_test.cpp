// SPDX-License-Identifier: MIT
// multiply_test.cpp — multiply: the three proofs, and NaN on either side.
#include "tests/support/pointwise.h"

namespace haze {
namespace {
using kernels::Multiply;
using test::leaf;

// The product costs its one rounding. Added to a sum in one instruction it costs none.
const test::Pointwise<2> kMultiply{engine::multiply, 2, {0x1p-24, 0}, {0x1p-24, 0}};

TEST(Multiply, GradientMatchesFiniteDifferences) {
  test::gradient_matches_finite_differences<Multiply>(kMultiply);
}
TEST(Multiply, BackendsMatchReference) { test::backends_match_reference<Multiply>(kMultiply); }
TEST(Multiply, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  test::wires_the_tape<Multiply>(kMultiply);
}

TEST(Multiply, NanStaysNan) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto one = leaf(tape, {1}, {0}), nan = leaf(tape, {1}, {NAN});
    EXPECT_TRUE(std::isnan(test::value_of(tape, engine::multiply(tape, one, nan))[0]));
    EXPECT_TRUE(std::isnan(test::value_of(tape, engine::multiply(tape, nan, one))[0]));
  }
}

}  // namespace
}  // namespace haze
