// SPDX-License-Identifier: MIT
// add_test.cpp — add, add_channel, deliver: the three proofs.
//   1. the gradient rule is the gradient of the reference (double, finite differences)
//   2. every backend computes the reference, forward and backward, in f32 and bf16
//   3. the tape wires it: gradients add up over uses, only where asked for; bad input is refused
#include "kernels/add/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using kernels::AddChannelDims;
namespace ref = kernels::reference;
using test::leaf;

struct Case {
  const char* why;
  AddChannelDims d;
};
const Case kCases[] = {
    {"U-Net stage", {2, 16 * 16, 64}},
    {"one pixel", {3, 1, 5}},
    {"nothing divides a vector register", {3, 35, 7}},
    {"one channel", {2, 49, 1}},
    {"more channels than a tile of sums", {1, 3, 1029}},
};

std::size_t size(const AddChannelDims& d) { return std::size_t(d.n) * d.hw * d.c; }

TEST(AddChannel, GradientMatchesFiniteDifferences) {
  for (const auto& [why, d] : kCases) {
    const auto x = test::normal(size(d), 1), v = test::normal(d.n * d.c, 2),
               dy = test::normal(size(d), 3);
    std::vector<double> dv(v.size());
    ref::add_channel_backward(d, dy.data(), dv.data());
    const auto f = [&, d = d](const std::vector<double>& in) {
      std::vector<double> y(size(d));
      ref::add_channel_forward(d, in.data(), in.data() + size(d), y.data());
      return y;
    };
    test::expect_gradient(f, test::join(x, v), dy, test::join(dy, dv), 1e-7, why);
  }
}

TEST(AddChannel, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& [why, d] : kCases) {
        const auto x = test::normal(size(d), 1, 0, 1, type),
                   v = test::normal(d.n * d.c, 2, 0, 1, type);
        const auto dy = test::normal(size(d), 3, 0, 1, type);
        std::vector<double> y(size(d)), dv(v.size());
        ref::add_channel_forward(d, x.data(), v.data(), y.data());
        ref::add_channel_backward(d, dy.data(), dv.data());
        engine::Context context(stream, type);
        engine::Tape tape(context);
        const auto a = leaf(tape, {d.n, d.hw, d.c}, x, true, type);
        const auto b = leaf(tape, {d.n, d.c}, v, true, type);
        const auto out = engine::add_channel(tape, a, b);
        // One rounding of the result; the factor 2 covers the ulp of the larger neighbour.
        const double u = 2 * test::rounding(type);
        test::expect_close(test::value_of(tape, out), y, u, u, why);
        tape.backward(out, test::to_tensor(tape, {d.n, d.hw, d.c}, dy, type));
        test::expect_close(test::grad_of(tape, a), dy, 0, 0, why);
        // f32 sum of hw unit normals: each addition rounds a partial sum of about sqrt(hw).
        const double sum = d.hw * 0x1p-24 * std::sqrt(double(d.hw));
        test::expect_close(test::grad_of(tape, b), dv, u, sum + u, why);
      }
}

// Against the definition: y[n,p,c] = v[n,c], and dv[n,c] is the sum of dy over the pixels.
TEST(BroadcastPixels, RepeatsAVectorAndSumsItsGradient) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16}) {
      const int n = 3, h = 5, w = 7, c = 2;
      const auto v = test::normal(n * c, 1, 0, 1, type);
      const auto dy = test::normal(n * h * w * c, 2, 0, 1, type);
      std::vector<double> y(dy.size()), dv(v.size());
      for (int i = 0; i < n; ++i)
        for (int p = 0; p < h * w; ++p)
          for (int k = 0; k < c; ++k) {
            const auto at = std::size_t((i * h * w + p) * c + k), of = std::size_t(i * c + k);
            y[at] = v[of];
            dv[of] += 2 * dy[at];
          }
      engine::Context context(stream, type);
      engine::Tape tape(context);
      const auto a = leaf(tape, {n, c}, v, true, type), frozen = leaf(tape, {n, c}, v, false, type);
      const auto b = engine::broadcast_pixels(tape, a, h, w);
      test::expect_close(test::value_of(tape, b), y, 0, 0, "exact");
      EXPECT_EQ(tape.value(b).shape, engine::Shape({n, h, w, c}));
      test::expect_check([&] { engine::broadcast_pixels(tape, b, h, w); }, "v must be [N,C]");
      const auto sum =
          engine::add(tape, engine::add(tape, b, engine::broadcast_pixels(tape, a, h, w)),
                      engine::broadcast_pixels(tape, frozen, h, w));
      tape.backward(sum, test::to_tensor(tape, {n, h, w, c}, dy, type));
      // f32 sums of 35 unit normals, then rounded to the type, twice and once more as their sum.
      const double u = 3 * test::rounding(type);
      test::expect_close(test::grad_of(tape, a), dv, u, 35 * 0x1p-24 * 6 + 12 * u, "v, used twice");
      EXPECT_FALSE(tape.grad(frozen));
    }
}

TEST(AddChannel, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  for (const Stream stream : test::streams()) {
    const AddChannelDims d = kCases[2].d;
    const auto x = test::normal(size(d), 1), v = test::normal(d.n * d.c, 2),
               dy = test::normal(size(d), 3);
    std::vector<double> dv(v.size());
    ref::add_channel_backward(d, dy.data(), dv.data());
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto a = leaf(tape, {d.n, d.hw, d.c}, x), b = leaf(tape, {d.n, d.c}, v);
    const auto frozen = leaf(tape, {d.n, d.c}, v, false);
    // x + v + v + frozen, and a second path to x: every trained input is used twice.
    const auto y = engine::add_channel(tape, engine::add_channel(tape, a, b), b);
    const auto z = engine::add(tape, engine::add_channel(tape, y, frozen), a);
    tape.backward(z, test::to_tensor(tape, {d.n, d.hw, d.c}, dy));
    test::expect_close(test::grad_of(tape, a), test::times(dy, 2), 1e-6, 1e-6, "x, used twice");
    test::expect_close(test::grad_of(tape, b), test::times(dv, 2), 1e-5, 1e-5, "v, used twice");
    EXPECT_FALSE(tape.grad(frozen));  // not asked for, so never allocated
  }
}

TEST(Add, SharedGradientIsCopiedBeforeItIsWritten) {
  for (const Stream stream : test::streams()) {
    // y = a + a·1 + b: dy is shared by a and b at first; a's second part must not leak into b.
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto a = leaf(tape, {3}, {1, 2, 3}), b = leaf(tape, {3}, {4, 5, 6});
    const auto y = engine::add(tape, a, engine::add(tape, a, b));
    tape.backward(y, test::to_tensor(tape, {3}, {1, 10, 100}));
    test::expect_close(test::grad_of(tape, a), std::vector<double>{2, 20, 200}, 0, 0, "a");
    test::expect_close(test::grad_of(tape, b), std::vector<double>{1, 10, 100}, 0, 0, "b");
  }
}

TEST(Add, RefusesUnequalShapes) {
  engine::Context context{CpuStream{}};
  engine::Tape tape(context);
  const auto a = leaf(tape, {2, 3}, test::normal(6, 1)), b = leaf(tape, {3, 2}, test::normal(6, 1));
  test::expect_check([&] { engine::add(tape, a, b); }, "a is [2,3] f32, b is [3,2] f32");
  test::expect_check([&] { engine::add_channel(tape, a, b); }, "x is [2,3], v is [3,2]");
}

}  // namespace
}  // namespace haze
