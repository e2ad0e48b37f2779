// swish_test.cpp — swish: the three proofs.
//   1. the gradient rule is the gradient of the reference (double, finite differences)
//   2. every backend computes the reference, forward and backward, in f32 and bf16
//   3. the tape wires it: gradients add up over uses, only where asked for
#include "kernels/swish/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
namespace ref = kernels::reference;
using test::leaf;

// One value; less than a vector register; nothing divides; enough for several threads.
constexpr int kSizes[] = {1, 7, 35 * 13, 32771};

struct Data {
  explicit Data(int n, DType type = DType::f32)
      : x(test::normal(n, 1, 0, 3, type)), dy(test::normal(n, 2, 0, 1, type)), y(n), dx(n) {
    ref::swish_forward(x.size(), x.data(), y.data());
    ref::swish_backward(x.size(), dy.data(), x.data(), dx.data());
  }
  std::vector<double> x, dy, y, dx;
};

TEST(Swish, GradientMatchesFiniteDifferences) {
  for (const int n : kSizes) {
    const Data a(n);
    const auto f = [&](const std::vector<double>& in) {
      std::vector<double> y(in.size());
      ref::swish_forward(in.size(), in.data(), y.data());
      return y;
    };
    test::expect_gradient(f, a.x, a.dy, a.dx, 1e-7, std::to_string(n));
  }
}

TEST(Swish, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const int n : kSizes) {
        const Data a(n, type);
        engine::Context context(stream, type);
        engine::Tape tape(context);
        const auto x = leaf(tape, {n}, a.x, true, type);
        const auto y = engine::swish(tape, x);
        // sigmoid costs 4 roundings, the product one; 1 + x(1-s) is off by |x| of them near its
        // zero, hence the absolute part (|x| < 16).
        const double u = 2 * test::rounding(type) + 8 * 0x1p-24, v = 64 * 0x1p-24;
        test::expect_close(test::value_of(tape, y), a.y, u, 0x1p-24, "y");
        tape.backward(y, test::to_tensor(tape, {n}, a.dy, type));
        test::expect_close(test::grad_of(tape, x), a.dx, u, v, "dx");
      }
}

TEST(Swish, HoldsAtTheEnds) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto x = leaf(tape, {4}, {-1e30, -100, 100, 1e30});
    const auto y = engine::swish(tape, x);
    test::expect_close(test::value_of(tape, y), std::vector<double>{0, 0, 100, 1e30}, 1e-6, 1e-30,
                       "y");
    tape.backward(y, test::to_tensor(tape, {4}, {1, 1, 1, 1}));
    test::expect_close(test::grad_of(tape, x), std::vector<double>{0, 0, 1, 1}, 1e-6, 1e-30, "dx");
    const auto nan = engine::swish(tape, leaf(tape, {1}, {NAN}));
    EXPECT_TRUE(std::isnan(test::value_of(tape, nan)[0]));
  }
}

TEST(Swish, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  for (const Stream stream : test::streams()) {
    for (const DType type : {DType::f32, DType::bf16}) {
      const Data a(kSizes[2], type);
      const engine::Shape shape{kSizes[2]};
      engine::Context context(stream, type);
      engine::Tape tape(context);
      const auto x = leaf(tape, shape, a.x, true, type),
                 frozen = leaf(tape, shape, a.x, false, type);
      const auto y = engine::add(tape, engine::swish(tape, x), engine::swish(tape, x));
      const auto z = engine::add(tape, y, engine::swish(tape, frozen));
      tape.backward(z, test::to_tensor(tape, shape, a.dy, type));
      const double u = 4 * test::rounding(type);  // two deliveries, each rounded
      test::expect_close(test::grad_of(tape, x), test::times(a.dx, 2), u, u + 1e-5, "used twice");
      EXPECT_FALSE(tape.grad(frozen));
    }
  }
}

}  // namespace
}  // namespace haze
