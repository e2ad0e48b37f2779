// SPDX-License-Identifier: MIT
// conv_transpose2d_test.cpp — the three proofs of the transposed convolution, and that an image's
// result does not depend on the batch it is in.
#include "kernels/conv_transpose2d/reference.h"
#include "tests/support/sum_error.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::Tape;
using engine::Var;
using kernels::ConvTranspose2dDims;
namespace ref = kernels::reference;
using test::leaf;
using test::product_error;
using test::sum_error;

struct Case {
  const char* why;
  ConvTranspose2dDims d;  // n, h, w, ci, co
};
const Case kCases[] = {
    {"U-Net stage", {2, 4, 4, 32, 32}},
    {"one pixel", {3, 1, 1, 5, 2}},
    {"odd, not square, one channel in", {2, 3, 5, 1, 7}},
    {"one channel out", {1, 5, 2, 33, 1}},
    {"one row", {2, 1, 6, 3, 16}},
    {"fewer channels", {1, 7, 7, 16, 5}},
    {"whole vectors of channels, odd image", {1, 3, 5, 24, 8}},
};

struct Data {
  engine::Shape xs, ws, ys;
  std::vector<double> x, w, bias, dy, y, dx, dw, dbias;
};

Data make(const ConvTranspose2dDims& d, DType type) {
  Data a;
  a.xs = {d.n, d.h, d.w, d.ci}, a.ws = {d.co, 4, 4, d.ci}, a.ys = {d.n, 2 * d.h, 2 * d.w, d.co};
  a.x = test::normal(a.xs.size(), 1, 0, 1, type), a.w = test::normal(a.ws.size(), 2, 0, 1, type);
  a.bias = test::normal(d.co, 3), a.dy = test::normal(a.ys.size(), 4, 0, 1, type);
  a.y.resize(a.ys.size()), a.dx.resize(a.xs.size()), a.dw.resize(a.ws.size()), a.dbias.resize(d.co);
  ref::conv_transpose2d_forward(d, a.x.data(), a.w.data(), a.bias.data(), a.y.data());
  ref::conv_transpose2d_backward(d, a.x.data(), a.w.data(), a.dy.data(), a.dx.data(), a.dw.data(),
                                 a.dbias.data());
  return a;
}

TEST(ConvTranspose2d, GradientMatchesFiniteDifferences) {
  for (const auto& [why, d] : kCases) {
    const Data a = make(d, DType::f32);
    const auto f = [&, d = d](const std::vector<double>& in) {
      const double *x = in.data(), *w = x + a.x.size();
      std::vector<double> y(a.ys.size());
      ref::conv_transpose2d_forward(d, x, w, w + a.w.size(), y.data());
      return y;
    };
    test::expect_gradient(f, test::join(a.x, a.w, a.bias), a.dy, test::join(a.dx, a.dw, a.dbias),
                          1e-7, why);
  }
}

TEST(ConvTranspose2d, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& [why, d] : kCases)
        for (const bool with_bias : {true, false}) {
          const Data a = make(d, type);
          engine::Context context(stream, type);
          Tape tape(context);
          const Var x = leaf(tape, a.xs, a.x, true, type), w = leaf(tape, a.ws, a.w, true, type);
          const Var bias = with_bias ? leaf(tape, {d.co}, a.bias) : Var{};
          const Var y = conv_transpose2d(tape, x, w, bias);
          auto want = a.y;
          if (!with_bias)
            for (std::size_t i = 0; i < want.size(); ++i) want[i] -= a.bias[i % a.bias.size()];
          // One rounding of each result; y is rounded again when the bias (below 4) is added.
          const double u = 2 * test::rounding(type);
          test::expect_close(test::value_of(tape, y), want, 2 * u,
                             product_error(4 * d.ci, type, stream) + 4 * u, why);
          tape.backward(y, test::to_tensor(tape, a.ys, a.dy, type));
          const double pixels = d.n * d.h * d.w;
          test::expect_close(test::grad_of(tape, x), a.dx, u,
                             product_error(16 * d.co, type, stream), why);
          test::expect_close(test::grad_of(tape, w), a.dw, u, product_error(pixels, type, stream),
                             why);
          if (with_bias)
            test::expect_close(test::grad_of(tape, bias), a.dbias, 0x1p-24, sum_error(4 * pixels),
                               why);
        }
}

// As parameters use it: weights in bf16, their gradient in f32, written first and added to then.
TEST(ConvTranspose2d, WeightGradientsOverwriteThenAdd) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& [why, d] : kCases) {
        const Data a = make(d, type);
        engine::Context context(stream, type);
        const Tape tape(context);
        const auto x = test::to_tensor(tape, a.xs, a.x, type);
        const auto dy = test::to_tensor(tape, a.ys, a.dy, type);
        const auto dw = test::to_tensor(tape, a.ws, std::vector<double>(a.ws.size(), NAN));
        const auto dbias = test::to_tensor(tape, {d.co}, std::vector<double>(d.co, NAN));
        tape.run([&, d = d](auto s) {
          for (const auto mode : {kernels::Write::overwrite, kernels::Write::add}) {
            const kernels::Grad w{dw.raw(), dw.dtype, mode}, b{dbias.raw(), dbias.dtype, mode};
            const auto scratch = tape.scratch(
                kernels::conv_transpose2d_backward_weights_scratch_bytes(s, d, type, w, b));
            kernels::conv_transpose2d_backward_weights(s, d, x.in(), dy.in(), w, b, scratch.get());
          }
        });
        const double error = 2 * product_error(4 * d.n * d.h * d.w, type, stream);
        test::expect_close(test::values(tape, dw), test::times(a.dw, 2), 0x1p-24, error, why);
        test::expect_close(test::values(tape, dbias), test::times(a.dbias, 2), 0x1p-24, error, why);
      }
}

TEST(ConvTranspose2d, AnImageDoesNotDependOnItsBatch) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& [size, c] : {std::pair(14, 64), {7, 128}, {5, 7}}) {
        const int most = 16, image = size * size * c;
        const auto xs = test::normal(std::size_t(most) * image, 1), bias = test::normal(c, 2);
        const auto ws = test::normal(std::size_t(c) * 16 * c, 3, 0, 0.1);
        std::vector<double> whole;
        for (const int n : {most, 1, 2, 5}) {
          const auto last = [&](const std::vector<double>& v, int each) {
            return std::vector<double>(v.end() - std::ptrdiff_t(n) * each, v.end());
          };
          engine::Context context(stream, type);
          Tape tape(context, false);
          const Var x = leaf(tape, {n, size, size, c}, last(xs, image), false, type);
          const Var w = leaf(tape, {c, 4, 4, c}, ws, false, type), b = leaf(tape, {c}, bias, false);
          const auto y = test::value_of(tape, conv_transpose2d(tape, x, w, b));
          if (n == most) whole = y;
          test::expect_close(y, last(whole, 4 * image), 0, 0, cat(c, " channels, batch ", n));
        }
      }
}

// 16 images are enough for the large blocks of the CUDA kernels, one is not.
TEST(ConvTranspose2d, AnImageDoesNotDependOnTheBlocksThatTheBatchFills) {
  const ConvTranspose2dDims full{16, 16, 16, 8, 72};
  const Data a = make(full, DType::bf16);
  const std::size_t image = a.x.size() / 16, out = a.y.size() / 16;
  for (const Stream stream : test::streams()) {
    engine::Context context(stream, DType::bf16);
    Tape tape(context, false);
    const Var w = leaf(tape, a.ws, a.w, false, DType::bf16), b = leaf(tape, {72}, a.bias, false);
    const Var x = leaf(tape, a.xs, a.x, false, DType::bf16);
    const std::vector<double> last(a.x.end() - std::ptrdiff_t(image), a.x.end());
    const Var one = leaf(tape, {1, 16, 16, 8}, last, false, DType::bf16);
    const auto y = test::value_of(tape, conv_transpose2d(tape, x, w, b));
    // Rounded once, and where the bias is added afterwards, twice.
    test::expect_close(y, a.y, 0x1p-7, sum_error(4 * 8) + 0x1p-5, "all");
    test::expect_close(test::value_of(tape, conv_transpose2d(tape, one, w, b)),
                       std::vector<double>(y.end() - std::ptrdiff_t(out), y.end()), 0, 0, "last");
  }
}

TEST(ConvTranspose2d, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  for (const Stream stream : test::streams())
    for (const auto& d : {ConvTranspose2dDims{2, 3, 2, 5, 7}, {1, 3, 4, 8, 16}})
      for (const DType type : {DType::f32, DType::bf16}) {
        const Data a = make(d, type);
        engine::Context context(stream, type);
        Tape tape(context);
        const Var x = leaf(tape, a.xs, a.x, true, type), w = leaf(tape, a.ws, a.w, true, type);
        const Var image = leaf(tape, a.xs, a.x, false, type),
                  frozen = leaf(tape, a.ws, a.w, false, type);
        // f(x, w) + f(image, w) + f(x, frozen): two uses of x and of w.
        const Var y = add(
            tape, conv_transpose2d(tape, x, w, {}),
            add(tape, conv_transpose2d(tape, image, w, {}), conv_transpose2d(tape, x, frozen, {})));
        tape.backward(y, test::to_tensor(tape, a.ys, a.dy, type));
        const double u = 4 * test::rounding(type);  // two results, each rounded
        test::expect_close(test::grad_of(tape, x), test::times(a.dx, 2), u,
                           2 * sum_error(16 * d.co), "x");
        test::expect_close(test::grad_of(tape, w), test::times(a.dw, 2), u, 2 * sum_error(12), "w");
        EXPECT_FALSE(tape.grad(image));
        EXPECT_FALSE(tape.grad(frozen));
      }
}

TEST(ConvTranspose2d, RefusesWhatItCannotDo) {
  engine::Context context{CpuStream{}};
  Tape tape(context);
  const Var x = leaf(tape, {1, 2, 2, 3}, test::normal(12, 1));
  const Var w = leaf(tape, {2, 4, 4, 3}, test::normal(96, 1));
  const Var small = leaf(tape, {2, 3, 3, 3}, test::normal(54, 1));
  const auto refuses = [&](const char* text, auto... args) {
    test::expect_check([&] { conv_transpose2d(tape, args...); }, text);
  };
  refuses("x is [1,2,2,3] f32, w is [2,3,3,3] f32", x, small, Var{});
  refuses("the bias must be [2] f32, got [1,2,2,3] f32", x, w, x);
}

}  // namespace
}  // namespace haze
