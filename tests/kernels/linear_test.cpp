// SPDX-License-Identifier: MIT
// linear_test.cpp — the three proofs of the linear layer, its fused residual, and that a row's
// result does not depend on the other rows.
#include "kernels/matmul/reference.h"
#include "tests/support/sum_error.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::Tape;
using engine::Var;
using kernels::MatmulDims;
namespace ref = kernels::reference;
using test::leaf;
using test::product_error;
using test::sum_error;

struct Case {
  const char* why;
  MatmulDims d;  // rows, in, out
};
const Case kCases[] = {
    {"tokens of an attention block", {49, 64, 192}},
    {"time embedding of one image", {1, 32, 128}},
    {"points in the plane", {37, 2, 33}},
    {"rows of weights at any address", {13, 33, 40}},
    {"to one number", {5, 33, 1}},
    {"from one number", {3, 1, 7}},
    {"all ones", {1, 1, 1}},
    {"long rows", {2, 784, 3}},
    {"many rows", {1031, 5, 3}},
    {"weights that fill a large block, in parts", {523, 128, 136}},
};

struct Data {
  engine::Shape xs, ws, ys;
  std::vector<double> x, w, bias, residual, dy;  // inputs
  std::vector<double> y, dx, dw, dbias;          // what the reference makes of them
};

Data make(const MatmulDims& d, DType type) {
  Data a{{d.rows, d.in}, {d.out, d.in}, {d.rows, d.out}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  a.x = test::normal(a.xs.size(), 1, 0, 1, type), a.w = test::normal(a.ws.size(), 2, 0, 1, type);
  a.bias = test::normal(d.out, 3), a.residual = test::normal(a.ys.size(), 4, 0, 1, type);
  a.dy = test::normal(a.ys.size(), 5, 0, 1, type);
  a.y.resize(a.ys.size()), a.dx.resize(a.xs.size()), a.dw.resize(a.ws.size()),
      a.dbias.resize(d.out);
  ref::matmul_forward(d, a.x.data(), a.w.data(), a.bias.data(), a.residual.data(), a.y.data());
  ref::matmul_backward(d, a.x.data(), a.w.data(), a.dy.data(), a.dx.data(), a.dw.data(),
                       a.dbias.data());
  return a;
}

TEST(Linear, GradientMatchesFiniteDifferences) {
  for (const auto& [why, d] : kCases) {
    const Data a = make(d, DType::f32);
    const auto f = [&, d = d](const std::vector<double>& in) {
      const double *x = in.data(), *w = x + a.x.size(), *bias = w + a.w.size();
      std::vector<double> y(a.ys.size());
      ref::matmul_forward(d, x, w, bias, bias + a.bias.size(), y.data());
      return y;
    };
    test::expect_gradient(f, test::join(a.x, a.w, a.bias, a.residual), a.dy,
                          test::join(a.dx, a.dw, a.dbias, a.dy), 1e-7, why);
  }
}

TEST(Linear, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& [why, d] : kCases) {
        const Data a = make(d, type);
        engine::Context context(stream, type);
        Tape tape(context);
        const Var x = leaf(tape, a.xs, a.x, true, type), w = leaf(tape, a.ws, a.w, true, type);
        const Var bias = leaf(tape, {d.out}, a.bias), r = leaf(tape, a.ys, a.residual, true, type);
        const Var y = linear(tape, x, w, bias, r);
        // One rounding of each result; the factor 2 covers the ulp of the larger neighbour.
        const double u = 2 * test::rounding(type);
        test::expect_close(test::value_of(tape, y), a.y, u, product_error(d.in + 2, type, stream),
                           why);
        tape.backward(y, test::to_tensor(tape, a.ys, a.dy, type));
        test::expect_close(test::grad_of(tape, x), a.dx, u, product_error(d.out, type, stream),
                           why);
        test::expect_close(test::grad_of(tape, w), a.dw, u, product_error(d.rows, type, stream),
                           why);
        test::expect_close(test::grad_of(tape, bias), a.dbias, 0x1p-24, sum_error(d.rows), why);
        test::expect_close(test::grad_of(tape, r), a.dy, 0, 0, why);
      }
}

// As parameters use it: weights in bf16, their gradient in f32, written first and added to then.
TEST(Linear, WeightGradientsOverwriteThenAdd) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& [why, d] : kCases) {
        const Data a = make(d, type);
        engine::Context context(stream, type);
        const Tape tape(context);
        const auto x = test::to_tensor(tape, a.xs, a.x, type);
        const auto dy = test::to_tensor(tape, a.ys, a.dy, type);
        const auto dw = test::to_tensor(tape, a.ws, std::vector<double>(a.ws.size(), NAN));
        const auto dbias = test::to_tensor(tape, {d.out}, std::vector<double>(d.out, NAN));
        tape.run([&, d = d](auto s) {
          for (const auto mode : {kernels::Write::overwrite, kernels::Write::add}) {
            const kernels::Grad w{dw.raw(), dw.dtype, mode}, b{dbias.raw(), dbias.dtype, mode};
            const auto scratch =
                tape.scratch(kernels::matmul_backward_weights_scratch_bytes(s, d, type, w, b));
            kernels::matmul_backward_weights(s, d, x.in(), dy.in(), w, b, scratch.get());
          }
        });
        const double error = 2 * product_error(d.rows, type, stream);
        test::expect_close(test::values(tape, dw), test::times(a.dw, 2), 0x1p-24, error, why);
        test::expect_close(test::values(tape, dbias), test::times(a.dbias, 2), 0x1p-24, error, why);
      }
}

TEST(Linear, FusedResidualEqualsItsComposition) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& [why, d] : kCases) {
        const Data a = make(d, type);
        std::vector<double> results[2];
        for (const bool fused : {false, true}) {
          engine::Context context(stream, type);
          context.fusion = fused;
          Tape tape(context);
          const Var x = leaf(tape, a.xs, a.x, true, type), w = leaf(tape, a.ws, a.w, true, type);
          const Var bias = leaf(tape, {d.out}, a.bias),
                    r = leaf(tape, a.ys, a.residual, true, type);
          const Var y = linear(tape, x, w, bias, r);
          results[fused] = test::value_of(tape, y);
          tape.backward(y, test::to_tensor(tape, a.ys, a.dy, type));
          for (const Var in : {x, w, bias, r})
            results[fused] = test::join(results[fused], test::grad_of(tape, in));
        }
        // The composition rounds once more, a number below 4·sqrt(in).
        const double u = 4 * test::rounding(type), size = 4 * std::sqrt(d.in + 1.0);
        test::expect_close(results[1], results[0], u,
                           2 * product_error(d.in, type, stream) + u * size, why);
      }
}

TEST(Linear, ARowDoesNotDependOnTheOthers) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& [in, out] :
           {std::pair(128, 512), {512, 512}, {2, 64}, {784, 512}, {33, 5}}) {
        const int most = 300;
        const auto xs = test::normal(std::size_t(most) * in, 1), bias = test::normal(out, 2);
        const auto ws = test::normal(std::size_t(out) * in, 3);
        std::vector<double> whole;
        for (const int rows : {most, 1, 2, 5, 64}) {
          const auto last = [&](const std::vector<double>& v, int each) {
            return std::vector<double>(v.end() - std::ptrdiff_t(rows) * each, v.end());
          };
          engine::Context context(stream, type);
          Tape tape(context, false);
          const Var x = leaf(tape, {rows, in}, last(xs, in), false, type);
          const Var w = leaf(tape, {out, in}, ws, false, type), b = leaf(tape, {out}, bias, false);
          const auto y = test::value_of(tape, linear(tape, x, w, b));
          if (rows == most) whole = y;
          test::expect_close(y, last(whole, out), 0, 0, cat(in, "->", out, ", rows ", rows));
        }
      }
}

TEST(Linear, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  for (const Stream stream : test::streams())
    for (const int channels : {5, 8}) {
      const MatmulDims d{6, channels, channels};
      const Data a = make(d, DType::f32);
      engine::Context context{stream};
      Tape tape(context);
      // Four axes: a linear layer acts on the last.
      const engine::Shape images{2, 3, 1, channels};
      const Var x = leaf(tape, images, a.x), w = leaf(tape, a.ws, a.w);
      const Var image = leaf(tape, images, a.x, false), frozen = leaf(tape, a.ws, a.w, false);
      // linear(x, w) + linear(image, w) + linear(x, frozen) + x: three uses of x, two of w.
      const Var y =
          linear(tape, x, frozen, {}, linear(tape, image, w, {}, linear(tape, x, w, {}, x)));
      EXPECT_EQ(tape.value(y).shape, images);
      tape.backward(y, test::to_tensor(tape, images, a.dy));
      auto dx = test::times(a.dx, 2);
      for (std::size_t i = 0; i < dx.size(); ++i) dx[i] += a.dy[i];
      test::expect_close(test::grad_of(tape, x), dx, 1e-6, 1e-5, "x");
      test::expect_close(test::grad_of(tape, w), test::times(a.dw, 2), 1e-6, 1e-5, "w");
      EXPECT_FALSE(tape.grad(image));
      EXPECT_FALSE(tape.grad(frozen));
    }
}

TEST(Linear, RefusesWhatItCannotDo) {
  engine::Context context{CpuStream{}};
  Tape tape(context);
  const Var x = leaf(tape, {4, 3}, test::normal(12, 1)), w = leaf(tape, {2, 3}, test::normal(6, 1));
  const Var half = leaf(tape, {2, 3}, test::normal(6, 1), true, DType::bf16);
  const auto refuses = [&](const char* text, auto... args) {
    test::expect_check([&] { linear(tape, args...); }, text);
  };
  refuses("x is [2,3] f32, w is [3,4] f32", w, leaf(tape, {3, 4}, test::normal(12, 1)), Var{});
  refuses("w is [2,3] bf16", x, half, Var{});
  refuses("the bias must be [2] f32, got [4,3] f32", x, w, x);
  refuses("the residual must be [4,2] f32, got [4,3] f32", x, w, Var{}, x);
}

}  // namespace
}  // namespace haze
