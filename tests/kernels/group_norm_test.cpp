// SPDX-License-Identifier: MIT
// group_norm_test.cpp — group_norm and group_norm_swish: the three proofs.
//   1. the gradient rule is the gradient of the reference (double, finite differences)
//   2. every backend computes the reference, forward and backward, in f32 and bf16, and the same
//      bits whatever the number of threads or images
//   3. the tape wires it: gradients add up over uses, only where asked for; fused equals unfused;
//      bad input is refused
#include <omp.h>

#include "tests/kernels/group_norm_cases.h"

namespace haze {
namespace {
using namespace test::group_norm;
using test::leaf;

TEST(GroupNorm, GradientMatchesFiniteDifferences) {
  for (const bool swish : {false, true})
    for (const Case& at : kCases) {
      if (at.offset != 0) continue;  // finite differences lose the digits this case is about
      const Data a(at, swish);
      const auto f = [&](const std::vector<double>& in) {
        const double *x = in.data(), *gamma = x + a.x.size(), *beta = gamma + a.d.c;
        std::vector<double> y(a.y.size()), mean(a.mean.size()), rstd(a.rstd.size());
        ref::group_norm_forward(a.d, x, gamma, beta, y.data(), mean.data(), rstd.data());
        return y;
      };
      test::expect_gradient(f, test::join(a.x, a.gamma, a.beta), a.dy,
                            test::join(a.dx, a.dgamma, a.dbeta), 1e-6, at.why);
    }
}

TEST(GroupNorm, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const bool swish : {false, true})
        for (const Case& at : kCases) {
          if (type == DType::bf16 && at.offset != 0) continue;  // bf16 of 1e4 ± 1 is one value
          const Data a(at, swish, type);
          engine::Context context(stream, type);
          Tape tape(context);
          const auto x = leaves(tape, a, type);
          const auto gamma = leaf(tape, {a.d.c}, a.gamma), beta = leaf(tape, {a.d.c}, a.beta);
          const auto y = op(tape, a.d, x, gamma, beta);
          const std::string why =
              std::string(at.why) + (swish ? ", swish, " : ", ") + name_of(type);
          // The normalised x, up to about 4, is off by half an ulp of the f32 mean over σ, by three
          // roundings, and by rstd's error: up to 128 squares are added in f32, some √128/2
          // roundings, which the root halves; CUDA's chains are of 8 in a thread, 2·N (at most 16)
          // over rows and fewer than 128 over lanes. Together below 24·2⁻²⁴; more where rstd
          // magnifies it. What a large mean is off by is passed on by gamma and by Swish, which is
          // nowhere steeper than 1.1.
          const double r = std::max(1.0, *std::ranges::max_element(a.rstd));
          const double steepest = 1.1 * *std::ranges::max_element(a.gamma);
          const double atol = r * (24 + steepest * std::abs(at.offset)) * 0x1p-24;
          const double u = 2 * test::rounding(type);
          test::expect_close(test::value_of(tape, y), a.y, u, atol + u * 0x1p-8, why + " y");
          tape.backward(y, test::to_tensor(tape, shape_of_y(a), a.dy, type));
          // dx subtracts two means from values up to about 8·rstd.
          test::expect_close(grad_of(tape, a, x), a.dx, u, 4 * r * atol + u * 0x1p-8, why + " dx");
          // Sums of n·hw such values, whose errors are independent but for the mean's.
          const double sum = 4 * atol * std::sqrt(double(a.d.n) * a.d.hw);
          test::expect_close(test::grad_of(tape, gamma), a.dgamma, 1e-6, sum, why + " dgamma");
          test::expect_close(test::grad_of(tape, beta), a.dbeta, 1e-6, sum, why + " dbeta");
        }
}

TEST(GroupNorm, VarianceSurvivesAnOutlierAsFirstPixel) {
  // The worst case for a kernel that measures from its first pixel.
  const Case at{"outlier", {1, 256, 4, 2}};
  Data a(at, false);
  for (int c = 0; c < 4; ++c) a.x[std::size_t(c)] = 1e6;
  ref::group_norm_forward(a.d, a.x.data(), a.gamma.data(), a.beta.data(), a.y.data(), a.mean.data(),
                          a.rstd.data());
  for (const Stream stream : test::streams()) {
    engine::Context context(stream);
    Tape tape(context);
    const auto y = op(tape, a.d, leaf(tape, a.shape(), a.x), leaf(tape, {4}, a.gamma),
                      leaf(tape, {4}, a.beta));
    // As above, on values up to √256; the mean is off by some √128 roundings of 1e6/256 against a σ
    // of 1e6/16, which is less.
    test::expect_close(test::value_of(tape, y), a.y, 6 * 0x1p-24, 6 * 0x1p-24, at.why);
  }
}

struct Result {
  std::vector<double> y, dx, dgamma, dbeta;
  bool operator==(const Result&) const = default;
};
Result run(const Stream& stream, const Data& a, DType type) {
  engine::Context context(stream, type);
  Tape tape(context);
  const auto x = leaf(tape, a.shape(), a.x, true, type);
  const auto gamma = leaf(tape, {a.d.c}, a.gamma), beta = leaf(tape, {a.d.c}, a.beta);
  const auto y = op(tape, a.d, x, gamma, beta);
  Result all{test::value_of(tape, y), {}, {}, {}};
  tape.backward(y, test::to_tensor(tape, a.shape(), a.dy, type));
  all.dx = test::grad_of(tape, x);
  all.dgamma = test::grad_of(tape, gamma);
  all.dbeta = test::grad_of(tape, beta);
  return all;
}

TEST(GroupNorm, BitsDoNotDependOnThreads) {
  for (const int n : {1, 3, 4})
    for (const DType type : {DType::f32, DType::bf16}) {
      const Data a({"", {n, 401, 32, 8}}, true, type);
      const auto with_threads = [&](int threads) {
        const int before = omp_get_max_threads();
        omp_set_num_threads(threads);
        const Result result = run(CpuStream{}, a, type);
        omp_set_num_threads(before);
        return result;
      };
      const Result one = with_threads(1);
      for (const int threads : {2, 3, 4})
        EXPECT_TRUE(one == with_threads(threads)) << n << " images";
    }
}

TEST(GroupNorm, ImagesDoNotDependOnTheirBatch) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const int hw : {50, 1030}) {  // more than a block of the CUDA backend holds
        const Data all({"", {3, hw, 16, 8}}, true, type);
        const Result batch = run(stream, all, type);
        for (std::ptrdiff_t n = 0; n < 3; ++n) {
          Data one({"", {1, hw, 16, 8}}, true, type);
          const std::ptrdiff_t size = std::ptrdiff_t(one.x.size());
          const auto image = [&](const std::vector<double>& v) {
            return std::vector(v.begin() + n * size, v.begin() + (n + 1) * size);
          };
          one.x = image(all.x), one.dy = image(all.dy);
          const Result alone = run(stream, one, type);
          EXPECT_TRUE(alone.y == image(batch.y) && alone.dx == image(batch.dx))
              << hw << " pixels, " << name_of(type) << ", image " << n;
        }
      }
}

void expect_wiring(const Stream& stream, const Case& at) {
  for (const DType type : {DType::f32, DType::bf16})
    for (const bool swish : {false, true}) {
      const Data a(at, swish, type);
      engine::Context context(stream, type);
      Tape tape(context);
      const auto x = leaves(tape, a, type);
      const auto gamma = leaf(tape, {a.d.c}, a.gamma), beta = leaf(tape, {a.d.c}, a.beta);
      const auto frozen = leaf(tape, {a.d.c}, a.beta, false);
      // Three uses of x and gamma, two of beta.
      const auto y =
          engine::add(tape, op(tape, a.d, x, gamma, beta), op(tape, a.d, x, gamma, beta));
      const auto z = engine::add(tape, y, op(tape, a.d, x, gamma, frozen));
      tape.backward(z, test::to_tensor(tape, shape_of_y(a), a.dy, type));
      // Each of the three deliveries rounds the running sum once more.
      const double u = 6 * test::rounding(type);
      test::expect_close(grad_of(tape, a, x), test::times(a.dx, 3), u, u + 1e-5, "x");
      test::expect_close(test::grad_of(tape, gamma), test::times(a.dgamma, 3), 1e-5, 1e-4, "gamma");
      test::expect_close(test::grad_of(tape, beta), test::times(a.dbeta, 2), 1e-5, 1e-4, "beta");
      EXPECT_FALSE(tape.grad(frozen));  // not asked for, so never allocated

      Tape only_gamma(context);
      const auto weight = leaf(only_gamma, {a.d.c}, a.gamma);
      const auto image = leaves(only_gamma, a, type, false, false);
      const auto out = op(only_gamma, a.d, image, weight, leaf(only_gamma, {a.d.c}, a.beta, false));
      only_gamma.backward(out, test::to_tensor(only_gamma, shape_of_y(a), a.dy, type));
      test::expect_close(test::grad_of(only_gamma, weight), a.dgamma, 1e-5, 1e-4, "gamma alone");
      EXPECT_FALSE(only_gamma.grad(image.first));
    }
}

TEST(GroupNorm, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  for (const Stream stream : test::streams())
    for (const GroupNormDims& d : {GroupNormDims{5, 35, 6, 3},
                                   {1, 520, 16, 4},
                                   {2, 35, 12, 3, 1e-5f, false, 5},
                                   {1, 520, 16, 4, 1e-5f, false, 8}})
      expect_wiring(stream, {"", d});
}

void expect_composition(const Stream& stream) {
  for (const DType type : {DType::f32, DType::bf16})
    for (const Case& at : kCases) {
      if (at.offset != 0) continue;
      const Data a(at, true, type);
      std::vector<double> y[2], dx[2], dgamma[2], dbeta[2];
      for (const bool fusion : {false, true}) {
        engine::Context context(stream, type);
        context.fusion = fusion;
        Tape tape(context);
        const auto x = leaves(tape, a, type);
        const auto gamma = leaf(tape, {a.d.c}, a.gamma), beta = leaf(tape, {a.d.c}, a.beta);
        const auto out = op(tape, a.d, x, gamma, beta);
        y[fusion] = test::value_of(tape, out);
        tape.backward(out, test::to_tensor(tape, shape_of_y(a), a.dy, type));
        dx[fusion] = grad_of(tape, a, x);
        dgamma[fusion] = test::grad_of(tape, gamma);
        dbeta[fusion] = test::grad_of(tape, beta);
      }
      // The composition rounds z (up to about 4) and d(loss)/dz once more on the way; dx multiplies
      // that by rstd.
      const double u = 16 * test::rounding(type), r = *std::ranges::max_element(a.rstd);
      const double sum = u * std::sqrt(double(a.d.n) * a.d.hw);
      test::expect_close(y[1], y[0], u, u, at.why);
      test::expect_close(dx[1], dx[0], u, u * std::max(1.0, r * r), at.why);
      test::expect_close(dgamma[1], dgamma[0], u, sum, at.why);
      test::expect_close(dbeta[1], dbeta[0], u, sum, at.why);
    }
}

TEST(GroupNormSwish, EqualsItsComposition) {
  for (const Stream stream : test::streams()) expect_composition(stream);
}

TEST(GroupNormSwish, KeepsNothingOfTheSizeOfTheImage) {
  const Data a(kCases[0], true);
  for (const Stream stream : test::streams()) {
    engine::Context context(stream);
    Tape tape(context);
    const auto x = leaf(tape, a.shape(), a.x);
    const auto gamma = leaf(tape, {a.d.c}, a.gamma), beta = leaf(tape, {a.d.c}, a.beta);
    const std::size_t before = context.arena.live_bytes();
    tape.release(op(tape, a.d, x, gamma, beta));
    EXPECT_LT(context.arena.live_bytes() - before, a.y.size());  // a quarter of y's bytes
  }
}

TEST(GroupNorm, RefusesBadGroupsAndParameters) {
  for (const Stream stream : test::streams()) {
    engine::Context context(stream);
    Tape tape(context);
    const auto x = leaf(tape, {1, 2, 2, 6}, test::normal(24, 1));
    const auto narrow = leaf(tape, {1, 2, 2, 3}, test::normal(12, 1));
    const auto six = leaf(tape, {6}, test::normal(6, 1)),
               five = leaf(tape, {5}, test::normal(5, 1));
    for (const auto f : {engine::group_norm, engine::group_norm_swish}) {
      test::expect_check([&] { f(tape, x, six, six, 4, 1e-5f); }, "C=6 groups=4");
      test::expect_check([&] { f(tape, x, six, six, 0, 1e-5f); }, "C=6 groups=0");
      test::expect_check([&] { f(tape, x, five, six, 3, 1e-5f); }, "gamma is [5], beta is [6]");
      test::expect_check([&] { f(tape, x, six, five, 3, 1e-5f); }, "gamma is [6], beta is [5]");
      test::expect_check([&] { f(tape, six, six, six, 3, 1e-5f); }, "x must be [N,...,C], got [6]");
      test::expect_check(
          [&] {
            f(tape, {x, six}, six, six, 3, 1e-5f);
          },
          "a and b must be [N,H,W,Ca] and [N,H,W,Cb] of one type");
      test::expect_check(
          [&] {
            f(tape, {x, narrow}, six, six, 3, 1e-5f);
          },
          "gamma and beta must be [9]");
    }
  }
}

}  // namespace
}  // namespace haze
