// SPDX-License-Identifier: MIT
// conv2d_joined_test.cpp — a convolution of two tensors is, bit for bit, the convolution of their
// concatenation (which conv2d_test.cpp holds against the reference), in both directions; and each
// tensor has a gradient of its own, with its own mode, or none.
#include "kernels/conv2d/conv2d.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::Joined;
using engine::Tape;
using engine::Var;
using kernels::Conv2dDims;
using test::leaf;

const Conv2dDims kCases[] = {
    {2, 6, 6, 48, 40, 1, 1, 1, 0, 0, 0, 0, 16},   // the shortcut of an up block
    {3, 5, 3, 12, 5, 1, 1, 1, 0, 0, 0, 0, 5},     // the seam in a vector
    {1, 4, 5, 24, 16, 1, 1, 1, 0, 0, 0, 0, 12},   // in whole vectors of f32, not of bf16
    {2, 7, 5, 24, 9, 3, 3, 1, 1, 1, 1, 1, 8},     // taps
    {2, 7, 5, 20, 16, 3, 3, 2, 0, 0, 1, 1, 13},   // stride 2, odd image
    {1, 4, 9, 12, 1, 3, 3, 1, 1, 1, 1, 1, 4},     // one output
    {1, 6, 5, 160, 136, 1, 1, 1, 0, 0, 0, 0, 72}  // several tiles of outputs and of channels
};

struct Result {
  std::vector<double> y, da, db, dw, dbias;
};

/// `joined`: the concatenation is made first. first, second: which of the tensors are trained.
Result run(const Stream& stream, DType type, const Conv2dDims& d, bool joined, bool first = true,
           bool second = true) {
  engine::Context context(stream, type);
  Tape tape(context);
  const int c1 = d.ci - d.ci2, pixels = d.n * d.h * d.w;
  const auto numbers = [&](int n, unsigned seed) {
    return test::normal(std::size_t(n), seed, 0, 1, type);
  };
  const Var a = leaf(tape, {d.n, d.h, d.w, c1}, numbers(pixels * c1, 1), first, type);
  const Var b = leaf(tape, {d.n, d.h, d.w, d.ci2}, numbers(pixels * d.ci2, 2), second, type);
  const engine::Shape ws{d.co, d.kh, d.kw, d.ci}, ys{d.n, d.ho(), d.wo(), d.co};
  const Var w = leaf(tape, ws, numbers(int(ws.size()), 3), true, type);
  const Var bias = leaf(tape, {d.co}, test::normal(std::size_t(d.co), 4));
  const Joined x = joined ? Joined(engine::concat_channels(tape, a, b)) : Joined(a, b);
  const Var y = engine::conv2d(tape, x, w, bias,
                               {d.stride, d.pad_top, d.pad_left, d.pad_bottom, d.pad_right});
  Result r{test::value_of(tape, y), {}, {}, {}, {}};
  tape.backward(y, test::to_tensor(tape, ys, numbers(int(ys.size()), 5), type));
  if (first) r.da = test::grad_of(tape, a);
  if (second) r.db = test::grad_of(tape, b);
  EXPECT_EQ(bool(tape.grad(a)), first);
  EXPECT_EQ(bool(tape.grad(b)), second);
  r.dw = test::grad_of(tape, w), r.dbias = test::grad_of(tape, bias);
  return r;
}

TEST(Conv2dOfTwo, IsTheConvolutionOfTheConcatenation) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const Conv2dDims& d : kCases) {
        const Result two = run(stream, type, d, false), one = run(stream, type, d, true);
        EXPECT_EQ(two.y, one.y) << d.ci << ' ' << name_of(type);
        EXPECT_EQ(two.da, one.da) << d.ci << ' ' << name_of(type);
        EXPECT_EQ(two.db, one.db) << d.ci << ' ' << name_of(type);
        EXPECT_EQ(two.dw, one.dw) << d.ci << ' ' << name_of(type);
        EXPECT_EQ(two.dbias, one.dbias) << d.ci << ' ' << name_of(type);
        EXPECT_FALSE(std::ranges::any_of(two.y, [](double v) { return std::isnan(v); }));
      }
}

TEST(Conv2dOfTwo, OneMayBeFrozen) {
  for (const Stream stream : test::streams())
    for (const Conv2dDims& d : {kCases[0], kCases[1]}) {
      const Result all = run(stream, DType::f32, d, false);
      EXPECT_EQ(run(stream, DType::f32, d, false, true, false).da, all.da);
      EXPECT_EQ(run(stream, DType::f32, d, false, false, true).db, all.db);
    }
}

TEST(Conv2dOfTwo, EachGradientAddsUpOnItsOwn) {
  for (const Stream stream : test::streams())
    for (const Conv2dDims& d : {kCases[0], kCases[1]}) {
      engine::Context context(stream);
      Tape tape(context);
      const int c1 = d.ci - d.ci2, pixels = d.n * d.h * d.w;
      const Var a = leaf(tape, {d.n, d.h, d.w, c1}, test::normal(std::size_t(pixels * c1), 1));
      const Var b =
          leaf(tape, {d.n, d.h, d.w, d.ci2}, test::normal(std::size_t(pixels * d.ci2), 2));
      const Var w = leaf(tape, {d.ci2, 1, 1, d.ci}, test::normal(std::size_t(d.ci2 * d.ci), 3));
      // b is reached before (by the sum), a is not; then both once more by the second use.
      const Var once = engine::conv2d(tape, {a, b}, w, {}, {});
      const Var y =
          engine::add(tape, engine::add(tape, engine::conv2d(tape, {a, b}, w, {}, {}), once), b);
      const auto dy = test::normal(std::size_t(pixels * d.ci2), 4);
      tape.backward(y, test::to_tensor(tape, tape.value(b).shape, dy));

      Tape plain(context);
      const Var a1 = leaf(plain, {d.n, d.h, d.w, c1}, test::normal(std::size_t(pixels * c1), 1));
      const Var b1 =
          leaf(plain, {d.n, d.h, d.w, d.ci2}, test::normal(std::size_t(pixels * d.ci2), 2));
      const Var w1 = leaf(plain, {d.ci2, 1, 1, d.ci}, test::normal(std::size_t(d.ci2 * d.ci), 3));
      const Var z = engine::conv2d(plain, engine::concat_channels(plain, a1, b1), w1, {}, {});
      plain.backward(z, test::to_tensor(plain, plain.value(b1).shape, dy));
      auto db = test::times(test::grad_of(plain, b1), 2);
      for (std::size_t i = 0; i < db.size(); ++i) db[i] += dy[i];
      // Doubling is exact; the sums of three are rounded twice.
      test::expect_close(test::grad_of(tape, a), test::times(test::grad_of(plain, a1), 2), 1e-6,
                         1e-6, "a");
      test::expect_close(test::grad_of(tape, b), db, 1e-6, 1e-5, "b");
    }
}

TEST(Conv2dOfTwo, RefusesWhatDoesNotFit) {
  engine::Context context{CpuStream{}};
  Tape tape(context);
  const Var a = leaf(tape, {1, 2, 2, 3}, test::normal(12, 1));
  const Var w = leaf(tape, {2, 1, 1, 5}, test::normal(10, 1));
  const Var small = leaf(tape, {1, 1, 2, 2}, test::normal(4, 1));
  test::expect_check([&] { engine::conv2d(tape, {a, a}, w, {}, {}); }, "w is [2,1,1,5]");
  test::expect_check(
      [&] {
        engine::conv2d(tape, {a, small}, w, {}, {});
      },
      "a and b must be [N,H,W,Ca] and [N,H,W,Cb]");
}

}  // namespace
}  // namespace haze
