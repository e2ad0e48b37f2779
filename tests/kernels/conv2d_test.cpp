// SPDX-License-Identifier: MIT
// conv2d_test.cpp — the three proofs of the convolution, its fused summands, and that an image's
// result does not depend on the batch it is in.
#include "kernels/conv2d/reference.h"
#include "tests/support/sum_error.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::Conv2dOptions;
using engine::Tape;
using engine::Var;
using kernels::Conv2dDims;
namespace ref = kernels::reference;
using test::leaf;
using test::product_error;
using test::sum_error;

struct Case {
  const char* why;
  Conv2dDims d;  // n, h, w, ci, co, kh, kw, stride, pad top, left, bottom, right
};
const Case kCases[] = {
    {"U-Net stage", {2, 6, 6, 32, 16, 3, 3, 1, 1, 1, 1, 1}},
    {"first layer, odd image", {2, 7, 5, 1, 33, 3, 3, 1, 1, 1, 1, 1}},
    {"three colours", {1, 9, 4, 3, 5, 3, 3, 1, 1, 1, 1, 1}},
    {"last layer", {2, 5, 7, 33, 1, 3, 3, 1, 1, 1, 1, 1}},
    {"last layer, four pixels end at the border", {2, 4, 9, 12, 1, 3, 3, 1, 1, 1, 1, 1}},
    {"one output, stride 2, bottom and right", {3, 6, 15, 40, 1, 3, 3, 2, 0, 0, 1, 1}},
    {"one output, 5x5, image smaller than the kernel", {1, 3, 2, 8, 1, 5, 5, 1, 2, 2, 2, 2}},
    {"last layer, three colours", {2, 6, 5, 16, 3, 3, 3, 1, 1, 1, 1, 1}},
    {"pointwise", {3, 5, 3, 7, 5, 1, 1, 1, 0, 0, 0, 0}},
    {"pointwise, one pixel", {1, 1, 1, 2, 33, 1, 1, 1, 0, 0, 0, 0}},
    {"halve, symmetric, odd image", {2, 7, 5, 3, 7, 3, 3, 2, 1, 1, 1, 1}},
    {"halve, bottom and right", {2, 6, 8, 5, 2, 3, 3, 2, 0, 0, 1, 1}},
    {"halve, bottom and right, odd image", {1, 7, 5, 7, 16, 3, 3, 2, 0, 0, 1, 1}},
    {"halve, whole vectors of channels, odd image", {2, 7, 5, 16, 24, 3, 3, 2, 1, 1, 1, 1}},
    {"pointwise, every other pixel", {1, 5, 4, 8, 16, 1, 1, 2, 0, 0, 0, 0}},
    {"5x5", {1, 6, 7, 3, 2, 5, 5, 1, 2, 2, 2, 2}},
    {"5x5, halve", {1, 8, 9, 8, 8, 5, 5, 2, 2, 2, 2, 2}},
    {"weights that fill a large block", {1, 5, 4, 16, 136, 3, 3, 1, 1, 1, 1, 1}},
    {"image smaller than the kernel", {2, 2, 1, 5, 3, 3, 3, 1, 1, 1, 1, 1}},
    {"kernel and padding not square", {1, 5, 6, 2, 3, 3, 1, 1, 2, 0, 1, 0}},
};

struct Data {
  engine::Shape xs, ws, ys;
  std::vector<double> x, w, bias, per_channel, residual, dy;  // inputs
  std::vector<double> y, dx, dw, dbias, dper;                 // what the reference makes of them
};

Data make(const Conv2dDims& d, DType type) {
  Data a;
  a.xs = {d.n, d.h, d.w, d.ci}, a.ws = {d.co, d.kh, d.kw, d.ci};
  a.ys = {d.n, d.ho(), d.wo(), d.co};
  const std::size_t images = std::size_t(d.n) * d.co;
  a.x = test::normal(a.xs.size(), 1, 0, 1, type), a.w = test::normal(a.ws.size(), 2, 0, 1, type);
  a.bias = test::normal(d.co, 3), a.per_channel = test::normal(images, 4, 0, 1, type);
  a.residual = test::normal(a.ys.size(), 5, 0, 1, type);
  a.dy = test::normal(a.ys.size(), 6, 0, 1, type);
  a.y.resize(a.ys.size()), a.dx.resize(a.xs.size()), a.dw.resize(a.ws.size());
  a.dbias.resize(d.co), a.dper.resize(images);
  ref::conv2d_forward(d, a.x.data(), a.w.data(), a.bias.data(), a.per_channel.data(),
                      a.residual.data(), a.y.data());
  ref::conv2d_backward(d, a.x.data(), a.w.data(), a.dy.data(), a.dx.data(), a.dw.data(),
                       a.dbias.data(), a.dper.data());
  return a;
}

Conv2dOptions options(const Conv2dDims& d) {
  return {d.stride, d.pad_top, d.pad_left, d.pad_bottom, d.pad_right};
}

TEST(Conv2d, GradientMatchesFiniteDifferences) {
  for (const auto& [why, d] : kCases) {
    const Data a = make(d, DType::f32);
    const auto f = [&, d = d](const std::vector<double>& in) {
      const double *x = in.data(), *w = x + a.x.size(), *bias = w + a.w.size();
      const double *per_channel = bias + a.bias.size(),
                   *residual = per_channel + a.per_channel.size();
      std::vector<double> y(a.ys.size());
      ref::conv2d_forward(d, x, w, bias, per_channel, residual, y.data());
      return y;
    };
    test::expect_gradient(f, test::join(a.x, a.w, a.bias, a.per_channel, a.residual), a.dy,
                          test::join(a.dx, a.dw, a.dbias, a.dper, a.dy), 1e-7, why);
  }
}

TEST(Conv2d, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& [why, d] : kCases) {
        const Data a = make(d, type);
        engine::Context context(stream, type);
        Tape tape(context);
        const Var x = leaf(tape, a.xs, a.x, true, type), w = leaf(tape, a.ws, a.w, true, type);
        const Var bias = leaf(tape, {d.co}, a.bias);
        const Var per_channel = leaf(tape, {d.n, d.co}, a.per_channel, true, type);
        const Var residual = leaf(tape, a.ys, a.residual, true, type);
        const Var y = conv2d(tape, x, w, bias, options(d), per_channel, residual);
        // One rounding of each result, and in y one of per_channel + residual (below 8) before.
        const double u = 2 * test::rounding(type), taps = d.kh * d.kw;
        test::expect_close(test::value_of(tape, y), a.y, u,
                           product_error(taps * d.ci, type, stream) + 8 * u, why);
        tape.backward(y, test::to_tensor(tape, a.ys, a.dy, type));
        const double pixels = d.ho() * d.wo(), all = d.n * pixels;
        test::expect_close(test::grad_of(tape, x), a.dx, u,
                           product_error(taps * d.co, type, stream), why);
        test::expect_close(test::grad_of(tape, w), a.dw, u, product_error(all, type, stream), why);
        test::expect_close(test::grad_of(tape, bias), a.dbias, 0x1p-24, sum_error(all), why);
        test::expect_close(test::grad_of(tape, per_channel), a.dper, u, sum_error(pixels), why);
        test::expect_close(test::grad_of(tape, residual), a.dy, 0, 0, why);
      }
}

// The shape of the contract that parameters use: weights in bf16, their gradient in f32, written
// first and added to afterwards, with the bias's from either source.
TEST(Conv2d, WeightGradientsOverwriteThenAdd) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const bool with_per_channel : {false, true})
        for (const auto& [why, d] : kCases) {
          const Data a = make(d, type);
          engine::Context context(stream, type);
          const Tape tape(context);
          const auto x = test::to_tensor(tape, a.xs, a.x, type);
          const auto dy = test::to_tensor(tape, a.ys, a.dy, type);
          const auto dw = test::to_tensor(tape, a.ws, std::vector<double>(a.ws.size(), NAN));
          const auto dbias = test::to_tensor(tape, {d.co}, std::vector<double>(d.co, NAN));
          const auto dper = tape.empty({d.n, d.co}, type);
          tape.run([&, d = d](auto s) {
            for (const auto mode : {kernels::Write::overwrite, kernels::Write::add}) {
              kernels::Conv2dWeightGrads grads{
                  {dw.raw(), dw.dtype, mode}, {dbias.raw(), dbias.dtype, mode}, {}};
              if (with_per_channel) grads.per_channel = {dper.raw(), dper.dtype, mode};
              const auto scratch =
                  tape.scratch(kernels::conv2d_backward_weights_scratch_bytes(s, d, type, grads));
              kernels::conv2d_backward_weights(s, d, x.in(), dy.in(), grads, scratch.get());
            }
          });
          const double error = 2 * product_error(d.n * d.ho() * d.wo(), type, stream);
          test::expect_close(test::values(tape, dw), test::times(a.dw, 2), 0x1p-24, error, why);
          test::expect_close(test::values(tape, dbias), test::times(a.dbias, 2), 0x1p-24, error,
                             why);
        }
}

TEST(Conv2d, FusedSummandsEqualTheirComposition) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& [with_channel, with_residual] :
           {std::pair(true, false), {false, true}, {true, true}})
        for (const auto& [why, d] : kCases) {
          const bool one_of_them = !(with_channel && with_residual);
          if (one_of_them && !std::holds_alternative<CpuStream>(stream)) continue;
          const Data a = make(d, type);
          std::vector<double> results[2];
          for (const bool fused : {false, true}) {
            engine::Context context(stream, type);
            context.fusion = fused;
            Tape tape(context);
            const Var x = leaf(tape, a.xs, a.x, true, type), w = leaf(tape, a.ws, a.w, true, type);
            const Var bias = leaf(tape, {d.co}, a.bias);
            const Var v = with_channel ? leaf(tape, {d.n, d.co}, a.per_channel, true, type) : Var{};
            const Var r = with_residual ? leaf(tape, a.ys, a.residual, true, type) : Var{};
            const Var y = conv2d(tape, x, w, bias, options(d), v, r);
            auto& result = results[fused];
            result = test::value_of(tape, y);
            tape.backward(y, test::to_tensor(tape, a.ys, a.dy, type));
            for (const Var in : {x, w, bias, v, r})
              if (in) result = test::join(result, test::grad_of(tape, in));
          }
          // Values and gradients: at most three roundings of numbers below 4·sqrt(terms) on either
          // side, beside the different order of the f32 sums.
          const double terms =
              std::max({d.kh * d.kw * d.ci, d.kh * d.kw * d.co, d.n * d.ho() * d.wo()});
          const double u = test::rounding(type);
          test::expect_close(results[1], results[0], 6 * u,
                             2 * product_error(terms, type, stream) + 6 * u * 4 * std::sqrt(terms),
                             why);
        }
}

TEST(Conv2d, AnImageDoesNotDependOnItsBatch) {
  const Conv2dDims shapes[] = {
      {16, 28, 28, 32, 32, 3, 3, 1, 1, 1, 1, 1}, {16, 14, 14, 64, 64, 3, 3, 1, 1, 1, 1, 1},
      {16, 7, 7, 128, 128, 3, 3, 1, 1, 1, 1, 1}, {16, 7, 7, 256, 128, 1, 1, 1, 0, 0, 0, 0},
      {16, 14, 14, 64, 64, 3, 3, 2, 0, 0, 1, 1}, {16, 28, 28, 3, 32, 3, 3, 1, 1, 1, 1, 1},
      {16, 28, 28, 32, 3, 3, 3, 1, 1, 1, 1, 1},  {16, 28, 28, 32, 1, 3, 3, 1, 1, 1, 1, 1}};
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (Conv2dDims full : shapes) {
        // oneDNN's plans change with the size; the CUDA kernels' number of blocks does, below.
        if (!std::holds_alternative<CpuStream>(stream)) full.n = 3, full.h /= 2, full.w /= 2;
        const std::size_t image = std::size_t(full.h) * full.w * full.ci;
        const std::size_t out = std::size_t(full.ho()) * full.wo() * full.co;
        const auto xs = test::normal(full.n * image, 1), vs = test::normal(full.n * full.co, 2);
        const auto rs = test::normal(full.n * out, 3), bias = test::normal(full.co, 4);
        const auto ws = test::normal(std::size_t(full.co) * full.kh * full.kw * full.ci, 5, 0, 0.1);
        for (const int summands : {0, 1, 2}) {
          if (!std::holds_alternative<CpuStream>(stream) && summands != 1) continue;
          std::vector<double> whole;
          for (const int n : {full.n, 1, 2, 5}) {
            if (n > full.n) continue;
            const auto last = [&](const std::vector<double>& v, std::size_t each) {
              return std::vector<double>(v.end() - std::ptrdiff_t(n * each), v.end());
            };
            engine::Context context(stream, type);
            Tape tape(context, false);
            const Var x = leaf(tape, {n, full.h, full.w, full.ci}, last(xs, image), false, type);
            const Var w = leaf(tape, {full.co, full.kh, full.kw, full.ci}, ws, false, type);
            Var v, r;
            if (summands == 1) v = leaf(tape, {n, full.co}, last(vs, full.co), false, type);
            if (summands == 2)
              r = leaf(tape, {n, full.ho(), full.wo(), full.co}, last(rs, out), false, type);
            const Var b = leaf(tape, {full.co}, bias, false);
            const auto y = test::value_of(tape, conv2d(tape, x, w, b, options(full), v, r));
            if (n == full.n) whole = y;
            test::expect_close(y, last(whole, out), 0, 0,
                               cat(full.ci, "->", full.co, ", batch ", n));
          }
        }
      }
}

// 64 images are enough for the large blocks of the CUDA kernels, one is not.
TEST(Conv2d, AnImageDoesNotDependOnTheBlocksThatTheBatchFills) {
  const Conv2dDims full{64, 16, 16, 40, 72, 1, 1, 1, 0, 0, 0, 0};
  for (const Stream stream : test::streams()) {
    const auto forward = [&](const Conv2dDims& d, const std::vector<double>& x) {
      const auto w = test::normal(std::size_t(d.co) * d.ci, 2, 0, 1, DType::bf16);
      engine::Context context(stream, DType::bf16);
      Tape tape(context, false);
      const Var in = leaf(tape, {d.n, d.h, d.w, d.ci}, x, false, DType::bf16);
      const Var weight = leaf(tape, {d.co, 1, 1, d.ci}, w, false, DType::bf16);
      return test::value_of(tape, conv2d(tape, in, weight, {}, options(d)));
    };
    const std::size_t image = 16 * 16 * 40, out = 16 * 16 * 72;
    const auto x = test::normal(64 * image, 1, 0, 1, DType::bf16);
    const auto all = forward(full, x);
    Conv2dDims one = full;
    one.n = 1;
    for (const int i : {0, 63}) {
      const auto at = [&](const std::vector<double>& v, std::size_t size) {
        const auto first = v.begin() + std::ptrdiff_t(i * size);
        return std::vector<double>(first, first + std::ptrdiff_t(size));
      };
      const auto y = forward(one, at(x, image));
      test::expect_close(y, at(all, out), 0, 0, cat("image ", i));
      std::vector<double> want(out), w = test::normal(72 * 40, 2, 0, 1, DType::bf16);
      ref::conv2d_forward<double>(one, at(x, image).data(), w.data(), nullptr, nullptr, nullptr,
                                  want.data());
      test::expect_close(y, want, 0x1p-8, sum_error(40), cat("image ", i));
    }
  }
}

TEST(Conv2d, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  for (const Stream stream : test::streams())
    for (const int channels : {7, 8})
      for (const DType type : {DType::f32, DType::bf16}) {
        const Conv2dDims d{2, 5, 3, channels, channels, 3, 3, 1, 1, 1, 1, 1};
        const Data a = make(d, type);
        engine::Context context(stream, type);
        Tape tape(context);
        const Var x = leaf(tape, a.xs, a.x, true, type), w = leaf(tape, a.ws, a.w, true, type);
        const Var image = leaf(tape, a.xs, a.x, false, type),
                  frozen = leaf(tape, a.ws, a.w, false, type);
        // conv(x, w) + conv(image, w) + conv(x, frozen) + x: three uses of x, two of w.
        const Var y1 = conv2d(tape, x, w, {}, Conv2dOptions::same(3), {}, x);
        const Var y2 = conv2d(tape, image, w, {}, Conv2dOptions::same(3), {}, y1);
        const Var y3 = conv2d(tape, x, frozen, {}, Conv2dOptions::same(3), {}, y2);
        tape.backward(y3, test::to_tensor(tape, a.ys, a.dy, type));
        auto dx = test::times(a.dx, 2);
        for (std::size_t i = 0; i < dx.size(); ++i) dx[i] += a.dy[i];
        const double u = 6 * test::rounding(type);  // three results, each rounded
        test::expect_close(test::grad_of(tape, x), dx, u, 3 * sum_error(9 * d.co) + u * 8, "x");
        test::expect_close(test::grad_of(tape, w), test::times(a.dw, 2), u, 2 * sum_error(30), "w");
        EXPECT_FALSE(tape.grad(image));
        EXPECT_FALSE(tape.grad(frozen));
      }
}

TEST(Conv2d, ANanStaysInTheWindowsThatHoldIt) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const int channels : {3, 8}) {
        const Conv2dDims d{2, 6, 6, channels, 5, 3, 3, 1, 1, 1, 1, 1};
        Data a = make(d, type);
        a.x[std::size_t((6 + 2) * 6 + 0) * channels] = NAN;  // second image, row 2, column 0
        engine::Context context(stream, type);
        Tape tape(context, false);
        const Var x = leaf(tape, a.xs, a.x, false, type), w = leaf(tape, a.ws, a.w, false, type);
        const auto y = test::value_of(tape, conv2d(tape, x, w, {}, options(d)));
        for (int i = 0; i < int(y.size()); ++i) {
          const int row = i / 5 / 6 % 6, column = i / 5 % 6;
          const bool holds = i / 5 >= 36 && row >= 1 && row <= 3 && column <= 1;
          EXPECT_EQ(std::isnan(y[std::size_t(i)]), holds) << i;
        }
      }
}

#if defined(HAZE_CUDA)
TEST(Conv2d, Tf32IsWithinItsRoundingAndOnlyWhereAllowed) {
  CudaStream stream = std::get<CudaStream>(kernels::open_cuda(0));
  for (const Conv2dDims& d :
       {Conv2dDims{2, 6, 6, 32, 16, 3, 3, 1, 1, 1, 1, 1}, {2, 7, 5, 12, 68, 3, 3, 2, 1, 1, 1, 1}}) {
    const Data a = make(d, DType::f32);
    for (const bool allowed : {false, true}) {
      stream.tf32 = allowed;
      engine::Context context(stream);
      Tape tape(context);
      const Var x = leaf(tape, a.xs, a.x), w = leaf(tape, a.ws, a.w);
      const Var y = conv2d(tape, x, w, {}, options(d), {}, leaf(tape, a.ys, a.residual, false));
      tape.backward(y, test::to_tensor(tape, a.ys, a.dy));
      auto want = a.y;
      for (std::size_t i = 0; i < want.size(); ++i)
        want[i] -= a.bias[i % d.co] + a.per_channel[i / (want.size() / d.n) * d.co + i % d.co];
      const auto expect = [&](const std::vector<double>& got, const std::vector<double>& exact,
                              double terms, const char* what) {
        // Each factor of a product is off by at most 2^-11; their random walk, 8 for the worst.
        const double rounding = 8 * std::sqrt(terms) * 0x1p-11, exactly = sum_error(terms + 2);
        test::expect_close(got, exact, 0x1p-24, allowed ? rounding : exactly, what);
        double worst = 0;
        for (std::size_t i = 0; i < got.size(); ++i)
          worst = std::max(worst, std::abs(got[i] - exact[i]));
        EXPECT_EQ(worst > exactly, allowed) << what;
      };
      const double taps = d.kh * d.kw;
      expect(test::value_of(tape, y), want, taps * d.ci, "y");
      expect(test::grad_of(tape, x), a.dx, taps * d.co, "dx");
      expect(test::grad_of(tape, w), a.dw, d.n * d.ho() * d.wo(), "dw");
    }
  }
}
#endif

TEST(Conv2d, RefusesWhatItCannotDo) {
  engine::Context context{CpuStream{}};
  Tape tape(context);
  const Var x = leaf(tape, {1, 4, 4, 3}, test::normal(48, 1));
  const Var w = leaf(tape, {2, 3, 3, 3}, test::normal(54, 1));
  const Var other = leaf(tape, {2, 3, 3, 1}, test::normal(18, 1));
  const Var half = leaf(tape, {2, 3, 3, 3}, test::normal(54, 1), true, DType::bf16);
  const auto same = Conv2dOptions::same(3);
  const auto refuses = [&](const char* text, auto... args) {
    test::expect_check([&] { conv2d(tape, args...); }, text);
  };
  refuses("x is [1,4,4,3] f32, w is [2,3,3,1] f32", x, other, Var{}, same);
  refuses("w is [2,3,3,3] bf16", x, half, Var{}, same);
  refuses("a stride of 1 or 2, got 3", x, w, Var{}, Conv2dOptions{3, 1, 1, 1, 1});
  refuses("the padded image holds it: x is [1,2,4,3]",
          leaf(tape, {1, 2, 4, 3}, test::normal(24, 1)), w, Var{}, Conv2dOptions{});
  refuses("padding is smaller than the kernel", x, w, Var{}, Conv2dOptions{1, 1, 1, 1, 3});
  refuses("the bias must be [2] f32, got [1,4,4,3] f32", x, w, x, same);
  refuses("per_channel must be [1,2] f32", x, w, Var{}, same, w);
  refuses("the residual must be [1,4,4,2] f32, got [1,4,4,3] f32", x, w, Var{}, same, Var{}, x);
}

}  // namespace
}  // namespace haze
