// SPDX-License-Identifier: MIT
// upsample_test.cpp — nearest-neighbour upsampling: the three proofs (see add_test.cpp).
#include "kernels/upsample/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using kernels::UpsampleDims;
namespace ref = kernels::reference;
using test::leaf;

struct Case {
  const char* why;
  UpsampleDims d;
};
const Case kCases[] = {
    {"U-Net stage", {2, 8, 8, 64}},
    {"one pixel", {3, 1, 1, 5}},
    {"unequal sides, nothing divides a vector register", {3, 5, 3, 7}},
    {"one channel", {2, 7, 6, 1}},
    {"one row", {1, 1, 9, 33}},
};

std::size_t size(const UpsampleDims& d) { return std::size_t(d.n) * d.h * d.w * d.c; }
engine::Shape in_shape(const UpsampleDims& d) { return {d.n, d.h, d.w, d.c}; }
engine::Shape out_shape(const UpsampleDims& d) { return {d.n, 2 * d.h, 2 * d.w, d.c}; }

TEST(Upsample2x, GradientMatchesFiniteDifferences) {
  for (const auto& [why, d] : kCases) {
    const auto x = test::normal(size(d), 1), dy = test::normal(4 * size(d), 2);
    std::vector<double> dx(size(d));
    ref::upsample2x_backward(d, dy.data(), dx.data());
    const auto f = [&, d = d](const std::vector<double>& in) {
      std::vector<double> y(4 * size(d));
      ref::upsample2x_forward(d, in.data(), y.data());
      return y;
    };
    test::expect_gradient(f, x, dy, dx, 1e-7, why);
  }
}

TEST(Upsample2x, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& [why, d] : kCases) {
        const auto x = test::normal(size(d), 1, 0, 1, type);
        const auto dy = test::normal(4 * size(d), 2, 0, 1, type);
        std::vector<double> y(4 * size(d)), dx(size(d));
        ref::upsample2x_forward(d, x.data(), y.data());
        ref::upsample2x_backward(d, dy.data(), dx.data());
        engine::Context context(stream, type);
        engine::Tape tape(context);
        const auto a = leaf(tape, in_shape(d), x, true, type);
        const auto out = engine::upsample2x(tape, a);
        EXPECT_EQ(tape.value(out).shape, out_shape(d)) << why;
        test::expect_close(test::value_of(tape, out), y, 0, 0, why);  // a copy
        tape.backward(out, test::to_tensor(tape, out_shape(d), dy, type));
        // Three f32 additions of values below 16 in all, then one rounding to `type`.
        const double u = 2 * test::rounding(type);
        test::expect_close(test::grad_of(tape, a), dx, u, 3 * 16 * 0x1p-25, why);
      }
}

TEST(Upsample2x, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  for (const Stream stream : test::streams()) {
    for (const DType type : {DType::f32, DType::bf16}) {
      const UpsampleDims d = kCases[2].d;
      const auto x = test::normal(size(d), 1, 0, 1, type);
      const auto dy = test::normal(4 * size(d), 2, 0, 1, type);
      std::vector<double> dx(size(d));
      ref::upsample2x_backward(d, dy.data(), dx.data());
      engine::Context context{stream, type};
      engine::Tape tape(context);
      const auto a = leaf(tape, in_shape(d), x, true, type);
      const auto frozen = leaf(tape, in_shape(d), x, false, type);
      const auto twice =
          engine::add(tape, engine::upsample2x(tape, a), engine::upsample2x(tape, a));
      const auto y = engine::add(tape, twice, engine::upsample2x(tape, frozen));
      tape.backward(y, test::to_tensor(tape, out_shape(d), dy, type));
      // Two roundings of the first part, one of the sum.
      const double u = 4 * test::rounding(type);
      test::expect_close(test::grad_of(tape, a), test::times(dx, 2), u, 6 * 16 * 0x1p-25,
                         "x, twice");
      EXPECT_FALSE(tape.grad(frozen));
    }
  }
}

TEST(Upsample2x, ANanReachesItsFourPixelsAndComesBack) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto a = leaf(tape, {1, 1, 2, 1}, {NAN, 1});
    const auto y = engine::upsample2x(tape, a);
    const auto out = test::value_of(tape, y);
    for (const int i : {0, 1, 4, 5}) EXPECT_TRUE(std::isnan(out[std::size_t(i)])) << i;
    for (const int i : {2, 3, 6, 7}) EXPECT_EQ(out[std::size_t(i)], 1) << i;
    tape.backward(y, test::to_tensor(tape, {1, 2, 4, 1}, {1, 1, 1, 1, 1, NAN, 1, 1}));
    EXPECT_TRUE(std::isnan(test::grad_of(tape, a)[0]));
    EXPECT_EQ(test::grad_of(tape, a)[1], 4);
  }
}

TEST(Upsample2x, RefusesWhatIsNoImage) {
  engine::Context context{CpuStream{}};
  engine::Tape tape(context);
  const auto a = leaf(tape, {2, 3, 4}, test::normal(24, 1));
  test::expect_check([&] { engine::upsample2x(tape, a); }, "x must be [N,H,W,C], got [2,3,4]");
}

}  // namespace
}  // namespace haze
