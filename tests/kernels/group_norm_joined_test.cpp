// SPDX-License-Identifier: MIT
// group_norm_joined_test.cpp — normalisation over two tensors: each has a gradient of its own, with
// its own mode, or none. That the numbers are the concatenation's is in group_norm_test.cpp.
#include "tests/kernels/group_norm_cases.h"

namespace haze {
namespace {
using namespace test::group_norm;
using test::leaf;

/// Of two tensors one is trained, the other not.
void expect_one_of_two(const Stream& stream, const Case& at) {
  for (const DType type : {DType::f32, DType::bf16})
    for (const bool first : {false, true}) {
      const Data a(at, true, type);
      engine::Context context(stream, type);
      Tape tape(context);
      const auto x = leaves(tape, a, type, first, !first);
      const auto gamma = leaf(tape, {a.d.c}, a.gamma), beta = leaf(tape, {a.d.c}, a.beta);
      const auto y = op(tape, a.d, x, gamma, beta);
      tape.backward(y, test::to_tensor(tape, shape_of_y(a), a.dy, type));
      const int c1 = a.d.c - a.d.c2;
      const auto want = channels(a.dx, a.d.c, first ? 0 : c1, first ? c1 : a.d.c);
      const double u = 2 * test::rounding(type);
      test::expect_close(test::grad_of(tape, first ? x.first : x.second), want, u, u + 1e-5,
                         at.why);
      test::expect_close(test::grad_of(tape, gamma), a.dgamma, 1e-5, 1e-4, at.why);
      EXPECT_FALSE(tape.grad(first ? x.second : x.first));
    }
}

/// The second tensor's gradient has been reached before, the first's has not.
void expect_modes(const Stream& stream, const Case& at) {
  const Data a(at, true);
  engine::Context context(stream);
  Tape tape(context);
  const auto x = leaves(tape, a, DType::f32);
  const auto gamma = leaf(tape, {a.d.c}, a.gamma), beta = leaf(tape, {a.d.c}, a.beta);
  const auto y = op(tape, a.d, x, gamma, beta);
  const int c1 = a.d.c - a.d.c2;
  const auto other = leaf(tape, tape.value(x.first).shape, channels(a.x, a.d.c, 0, c1), false);
  const auto z = engine::add(tape, y, engine::concat_channels(tape, other, x.second));
  tape.backward(z, test::to_tensor(tape, shape_of_y(a), a.dy));
  auto want = a.dx;
  for (std::size_t i = 0; i < want.size(); ++i)
    if (int(i % std::size_t(a.d.c)) >= c1) want[i] += a.dy[i];
  test::expect_close(grad_of(tape, a, x), want, 1e-5, 1e-5, at.why);
}

TEST(GroupNormOfTwo, EachHasItsOwnGradient) {
  for (const Stream stream : test::streams())
    for (const GroupNormDims& d :
         {GroupNormDims{2, 35, 12, 3, 1e-5f, false, 5}, {1, 520, 16, 4, 1e-5f, false, 8}}) {
      expect_one_of_two(stream, {"", d});
      expect_modes(stream, {"", d});
    }
}

TEST(GroupNormOfTwo, MayBeOneTensorTwice) {
  const Data a({"", {2, 30, 12, 4}}, true);
  for (const Stream stream : test::streams()) {
    std::vector<double> dx[2];
    for (const bool copied : {false, true}) {
      engine::Context context(stream);
      Tape tape(context);
      const auto x = leaf(tape, {2, 5, 3, 12}, channels(a.x, 24, 0, 12));
      const auto gamma = leaf(tape, {24}, test::join(a.gamma, a.gamma));
      const auto beta = leaf(tape, {24}, test::join(a.beta, a.beta));
      const auto in =
          copied ? engine::Joined(engine::concat_channels(tape, x, x)) : engine::Joined(x, x);
      const auto y = engine::group_norm_swish(tape, in, gamma, beta, 4, 1e-5f);
      tape.backward(y, test::to_tensor(tape, {2, 5, 3, 24}, a.dy));
      dx[copied] = test::grad_of(tape, x);
    }
    EXPECT_EQ(dx[0], dx[1]);
  }
}

}  // namespace
}  // namespace haze
