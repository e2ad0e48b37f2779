// SPDX-License-Identifier: MIT
// swish_test.cpp — swish: the three proofs, and its values far out.
#include "tests/support/pointwise.h"

namespace haze {
namespace {
using kernels::Swish;
using test::leaf;

// sigmoid costs 4 roundings, the product one; 1 + x(1-s) is off by |x| of them near its zero, hence
// the absolute part of the gradient (|x| < 16).
const test::Pointwise<1> kSwish{
    engine::swish, 3, {8 * 0x1p-24, 0x1p-24}, {8 * 0x1p-24, 64 * 0x1p-24}};

TEST(Swish, GradientMatchesFiniteDifferences) {
  test::gradient_matches_finite_differences<Swish>(kSwish);
}
TEST(Swish, BackendsMatchReference) { test::backends_match_reference<Swish>(kSwish); }
TEST(Swish, GradientsAddUpOverUsesAndOnlyWhereAskedFor) { test::wires_the_tape<Swish>(kSwish); }

TEST(Swish, HoldsAtTheEnds) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto x = leaf(tape, {4}, {-1e30, -100, 100, 1e30});
    const auto y = engine::swish(tape, x);
    test::expect_close(test::value_of(tape, y), std::vector<double>{0, 0, 100, 1e30}, 1e-6, 1e-30,
                       "y");
    tape.backward(y, test::to_tensor(tape, {4}, {1, 1, 1, 1}));
    test::expect_close(test::grad_of(tape, x), std::vector<double>{0, 0, 1, 1}, 1e-6, 1e-30, "dx");
    const auto nan = engine::swish(tape, leaf(tape, {1}, {NAN}));
    EXPECT_TRUE(std::isnan(test::value_of(tape, nan)[0]));
  }
}

}  // namespace
}  // namespace haze
