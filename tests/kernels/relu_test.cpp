// SPDX-License-Identifier: MIT
// relu_test.cpp — relu: the three proofs, and what it does at 0 and with NaN.
#include "tests/support/pointwise.h"

namespace haze {
namespace {
using kernels::Relu;
using test::leaf;

// Nothing is rounded.
const test::Pointwise<1> kRelu{engine::relu, 1, {}, {}, 1e-3};

TEST(Relu, GradientMatchesFiniteDifferences) {
  test::gradient_matches_finite_differences<Relu>(kRelu);
}
TEST(Relu, BackendsMatchReference) { test::backends_match_reference<Relu>(kRelu); }
TEST(Relu, GradientsAddUpOverUsesAndOnlyWhereAskedFor) { test::wires_the_tape<Relu>(kRelu); }

TEST(Relu, GradientAtZeroIsZeroAndNanStaysNan) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto x = leaf(tape, {3}, {0, -0.0, 1e-30}), y = engine::relu(tape, x);
    test::expect_close(test::value_of(tape, y), std::vector<double>{0, 0, 1e-30}, 1e-7, 0, "y");
    tape.backward(y, test::to_tensor(tape, {3}, {5, 6, 7}));
    test::expect_close(test::grad_of(tape, x), std::vector<double>{0, 0, 7}, 0, 0, "dx");
    EXPECT_TRUE(std::isnan(test::value_of(tape, engine::relu(tape, leaf(tape, {1}, {NAN})))[0]));
  }
}

}  // namespace
}  // namespace haze
