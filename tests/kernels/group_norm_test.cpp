// group_norm_test.cpp — group_norm and group_norm_swish: the three proofs.
//   1. the gradient rule is the gradient of the reference (double, finite differences)
//   2. every backend computes the reference, forward and backward, in f32 and bf16, and the same
//      bits whatever the number of threads or images
//   3. the tape wires it: gradients add up over uses, only where asked for; fused equals unfused;
//      bad input is refused
#include <omp.h>

#include "kernels/group_norm/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::Tape;
using engine::Var;
using kernels::GroupNormDims;
namespace ref = kernels::reference;
using test::leaf;

struct Case {
  const char* why;
  GroupNormDims d;  // n, hw, c, groups
  double offset = 0;
};
const Case kCases[] = {
    {"U-Net stage", {2, 16 * 16, 64, 32}},
    {"one image, several chunks", {1, 20 * 20, 48, 8}},
    {"one channel per group", {2, 49, 8, 8}},
    {"one group (layer norm)", {3, 25, 12, 1}},
    {"two channels per group", {3, 49, 34, 17}},
    {"nothing divides a vector register", {5, 35, 6, 3}},
    {"one pixel", {3, 1, 12, 4}},
    {"one pixel more than a chunk", {1, 129, 3, 1}},
    {"too large to keep d(loss)/dz", {1, 1400, 96, 32}},
    {"a group wider than a block", {2, 5, 1028, 1}},
    {"more pixels than a block holds", {2, 530, 16, 8}},
    {"more images than parameter_gradients has warps", {70, 4, 8, 2}},
    {"two tensors, the seam in a group", {2, 256, 96, 32, 1e-5f, false, 32}},
    {"two tensors, the seam in a vector", {3, 49, 20, 5, 1e-5f, false, 7}},
    {"two tensors, several chunks", {1, 1100, 48, 8, 1e-5f, false, 16}},
    {"two tensors, a group wider than a block", {2, 5, 1032, 1, 1e-5f, false, 520}},
    {"two tensors, large offset", {2, 300, 16, 4, 1e-5f, false, 4}, 1e4},
    {"large offset: variance must not cancel", {2, 300, 8, 4}, 1e4},
    {"large offset, several chunks on CUDA too", {1, 1100, 16, 8}, 1e4},
};

// Drawn in the type of the activations, so that both sides start from the same numbers.
struct Data {
  Data(const Case& at, bool swish, DType type = DType::f32) : d(at.d) {
    d.swish = swish;
    const std::size_t size = std::size_t(d.n) * d.hw * d.c;
    x = test::normal(size, 1, at.offset, 1, type);
    dy = test::normal(size, 4, 0, 1, type);
    gamma = test::normal(d.c, 2, 1, 0.1);
    beta = test::normal(d.c, 3);
    y.resize(size), dx.resize(size), mean.resize(d.n * d.groups), rstd.resize(d.n * d.groups);
    dgamma.resize(d.c), dbeta.resize(d.c);
    ref::group_norm_forward(d, x.data(), gamma.data(), beta.data(), y.data(), mean.data(),
                            rstd.data());
    ref::group_norm_backward(d, dy.data(), x.data(), gamma.data(), beta.data(), mean.data(),
                             rstd.data(), dx.data(), dgamma.data(), dbeta.data());
  }
  engine::Shape shape() const { return {d.n, d.hw, d.c}; }

  GroupNormDims d;
  std::vector<double> x, gamma, beta, dy, y, mean, rstd, dx, dgamma, dbeta;
};

/// The channels [from, to) of values [..., c].
std::vector<double> channels(const std::vector<double>& v, int c, int from, int to) {
  std::vector<double> some;
  for (std::size_t i = 0; i < v.size(); ++i)
    if (int(i % std::size_t(c)) >= from && int(i % std::size_t(c)) < to) some.push_back(v[i]);
  return some;
}

/// x in the tensors that the case has it in; a second one makes it an image.
engine::Joined leaves(Tape& tape, const Data& a, DType type, bool first = true,
                      bool second = true) {
  const auto& d = a.d;
  if (d.c2 == 0) return leaf(tape, a.shape(), a.x, first, type);
  const int c1 = d.c - d.c2;
  return {leaf(tape, {d.n, 1, d.hw, c1}, channels(a.x, d.c, 0, c1), first, type),
          leaf(tape, {d.n, 1, d.hw, d.c2}, channels(a.x, d.c, c1, d.c), second, type)};
}
engine::Shape shape_of_y(const Data& a) {
  return a.d.c2 > 0 ? engine::Shape{a.d.n, 1, a.d.hw, a.d.c} : a.shape();
}

std::vector<double> grad_of(const Tape& tape, const Data& a, const engine::Joined& x) {
  if (!x.second) return test::grad_of(tape, x.first);
  const auto first = test::grad_of(tape, x.first), second = test::grad_of(tape, x.second);
  std::vector<double> all;
  const std::size_t c1 = std::size_t(a.d.c - a.d.c2), c2 = std::size_t(a.d.c2);
  for (std::size_t i = 0; i < a.x.size(); ++i) {
    const std::size_t p = i / (c1 + c2), c = i % (c1 + c2);
    all.push_back(c < c1 ? first[p * c1 + c] : second[p * c2 + c - c1]);
  }
  return all;
}

Var op(Tape& tape, const GroupNormDims& d, engine::Joined x, Var gamma, Var beta) {
  const auto f = d.swish ? engine::group_norm_swish : engine::group_norm;
  return f(tape, x, gamma, beta, d.groups, d.eps);
}

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

TEST(GroupNorm, OneOfTwoTensorsMayBeFrozen) {
  for (const Stream stream : test::streams())
    for (const GroupNormDims& d :
         {GroupNormDims{2, 35, 12, 3, 1e-5f, false, 5}, {1, 520, 16, 4, 1e-5f, false, 8}})
      expect_one_of_two(stream, {"", d});
}

TEST(GroupNorm, TheSameTensorTwice) {
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
