// SPDX-License-Identifier: MIT
// concat_test.cpp — channel concatenation: the three proofs (see add_test.cpp).
#include "kernels/concat/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using kernels::ConcatDims;
namespace ref = kernels::reference;
using test::leaf;

struct Case {
  const char* why;
  int n, h, w, ca, cb;
  ConcatDims dims() const { return {std::size_t(n) * h * w, ca, cb}; }
  std::size_t size_a() const { return std::size_t(n) * h * w * ca; }
  std::size_t size_b() const { return std::size_t(n) * h * w * cb; }
  engine::Shape shape(int c) const { return {n, h, w, c}; }
};
const Case kCases[] = {
    {"U-Net skip", 2, 8, 8, 128, 64},
    {"one pixel", 1, 1, 1, 3, 5},
    {"nothing divides a vector register", 3, 5, 3, 7, 19},
    {"one channel each", 2, 3, 7, 1, 1},
    {"wide and one", 1, 4, 3, 65, 1},
};

struct Gradients {
  std::vector<double> da, db;
};
Gradients reference_gradients(const Case& k, const std::vector<double>& dy) {
  Gradients g{std::vector<double>(k.size_a()), std::vector<double>(k.size_b())};
  ref::concat_channels_backward(k.dims(), dy.data(), g.da.data(), g.db.data());
  return g;
}

TEST(ConcatChannels, GradientMatchesFiniteDifferences) {
  for (const Case& k : kCases) {
    const auto a = test::normal(k.size_a(), 1), b = test::normal(k.size_b(), 2);
    const auto dy = test::normal(k.size_a() + k.size_b(), 3);
    const Gradients g = reference_gradients(k, dy);
    const auto f = [&](const std::vector<double>& in) {
      std::vector<double> y(in.size());
      ref::concat_channels_forward(k.dims(), in.data(), in.data() + k.size_a(), y.data());
      return y;
    };
    test::expect_gradient(f, test::join(a, b), dy, test::join(g.da, g.db), 1e-7, k.why);
  }
}

TEST(ConcatChannels, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const Case& k : kCases) {
        const auto a = test::normal(k.size_a(), 1, 0, 1, type),
                   b = test::normal(k.size_b(), 2, 0, 1, type);
        const auto dy = test::normal(k.size_a() + k.size_b(), 3, 0, 1, type);
        std::vector<double> y(dy.size());
        ref::concat_channels_forward(k.dims(), a.data(), b.data(), y.data());
        const Gradients g = reference_gradients(k, dy);
        engine::Context context(stream, type);
        engine::Tape tape(context);
        const auto va = leaf(tape, k.shape(k.ca), a, true, type);
        const auto vb = leaf(tape, k.shape(k.cb), b, true, type);
        const auto out = engine::concat_channels(tape, va, vb);
        EXPECT_EQ(tape.value(out).shape, k.shape(k.ca + k.cb)) << k.why;
        tape.backward(out, test::to_tensor(tape, k.shape(k.ca + k.cb), dy, type));
        // Copies: not one bit may differ.
        test::expect_close(test::value_of(tape, out), y, 0, 0, k.why);
        test::expect_close(test::grad_of(tape, va), g.da, 0, 0, k.why);
        test::expect_close(test::grad_of(tape, vb), g.db, 0, 0, k.why);
      }
}

TEST(ConcatChannels, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  for (const Stream stream : test::streams()) {
    const Case& k = kCases[2];
    for (const DType type : {DType::f32, DType::bf16}) {
      const auto a = test::normal(k.size_a(), 1, 0, 1, type),
                 b = test::normal(k.size_b(), 2, 0, 1, type);
      const auto dy = test::normal(k.size_a() + k.size_b(), 3, 0, 1, type);
      const Gradients g = reference_gradients(k, dy);
      engine::Context context{stream, type};
      engine::Tape tape(context);
      const auto va = leaf(tape, k.shape(k.ca), a, true, type);
      const auto vb = leaf(tape, k.shape(k.cb), b, true, type);
      const auto frozen_a = leaf(tape, k.shape(k.ca), a, false, type);
      const auto frozen_b = leaf(tape, k.shape(k.cb), b, false, type);
      // (a|b) + (a|frozen) + (frozen|b): each trained input is used twice, each frozen one once.
      const auto y = engine::add(tape, engine::concat_channels(tape, va, vb),
                                 engine::add(tape, engine::concat_channels(tape, va, frozen_b),
                                             engine::concat_channels(tape, frozen_a, vb)));
      tape.backward(y, test::to_tensor(tape, k.shape(k.ca + k.cb), dy, type));
      // Doubling is exact in both types.
      test::expect_close(test::grad_of(tape, va), test::times(g.da, 2), 0, 0, "a, used twice");
      test::expect_close(test::grad_of(tape, vb), test::times(g.db, 2), 0, 0, "b, used twice");
      EXPECT_FALSE(tape.grad(frozen_a));
      EXPECT_FALSE(tape.grad(frozen_b));
    }
  }
}

TEST(ConcatChannels, AVariableBesideItselfCollectsBothHalves) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto v = leaf(tape, {1, 1, 2, 2}, {1, 2, 3, 4});
    const auto y = engine::concat_channels(tape, v, v);
    test::expect_close(test::value_of(tape, y), std::vector<double>{1, 2, 1, 2, 3, 4, 3, 4}, 0, 0,
                       "y");
    tape.backward(y, test::to_tensor(tape, {1, 1, 2, 4}, {1, 2, 10, 20, 3, 4, 30, 40}));
    test::expect_close(test::grad_of(tape, v), std::vector<double>{11, 22, 33, 44}, 0, 0, "dv");
  }
}

TEST(ConcatChannels, RefusesUnequalImages) {
  engine::Context context{CpuStream{}};
  engine::Tape tape(context);
  const auto a = leaf(tape, {1, 2, 3, 4}, test::normal(24, 1));
  const auto turned = leaf(tape, {1, 3, 2, 4}, test::normal(24, 1));
  const auto half = leaf(tape, {1, 2, 3, 4}, test::normal(24, 1), true, DType::bf16);
  test::expect_check([&] { engine::concat_channels(tape, a, turned); },
                     "a is [1,2,3,4] f32, b is [1,3,2,4] f32");
  test::expect_check([&] { engine::concat_channels(tape, a, half); }, "b is [1,2,3,4] bf16");
}

}  // namespace
}  // namespace haze
