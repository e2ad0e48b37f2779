// relu_test.cpp — relu: the three proofs.
//   1. the gradient rule is the gradient of the reference (double, finite differences)
//   2. every backend computes the reference, forward and backward, in f32 and bf16
//   3. the tape wires it: gradients add up over uses, only where asked for
#include "kernels/relu/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
namespace ref = kernels::reference;
using test::leaf;

// One value; less than a vector register; nothing divides; enough for several threads.
constexpr int kSizes[] = {1, 7, 35 * 13, 32771};

struct Data {
  explicit Data(int n, DType type = DType::f32)
      : x(test::normal(n, 1, 0, 1, type)), dy(test::normal(n, 2, 0, 1, type)), y(n), dx(n) {
    ref::relu_forward(x.size(), x.data(), y.data());
    ref::relu_backward(x.size(), dy.data(), y.data(), dx.data());
  }
  std::vector<double> x, dy, y, dx;
};

TEST(Relu, GradientMatchesFiniteDifferences) {
  for (const int n : kSizes) {
    Data a(n);
    for (double& e : a.x) e += e < 0 ? -1e-3 : 1e-3;  // no step of the differences crosses 0
    const auto f = [&](const std::vector<double>& in) {
      std::vector<double> y(in.size());
      ref::relu_forward(in.size(), in.data(), y.data());
      return y;
    };
    test::expect_gradient(f, a.x, a.dy, a.dx, 1e-7, std::to_string(n));
  }
}

TEST(Relu, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const int n : kSizes) {
        const Data a(n, type);
        engine::Context context(stream, type);
        engine::Tape tape(context);
        const auto x = leaf(tape, {n}, a.x, true, type);
        const auto y = engine::relu(tape, x);
        test::expect_close(test::value_of(tape, y), a.y, 0, 0, "y");  // nothing is rounded
        tape.backward(y, test::to_tensor(tape, {n}, a.dy, type));
        test::expect_close(test::grad_of(tape, x), a.dx, 0, 0, "dx");
      }
}

TEST(Relu, GradientAtZeroIsZeroAndNanStaysNan) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto x = leaf(tape, {3}, {0, -0.0, 1e-30}), y = engine::relu(tape, x);
    test::expect_close(test::value_of(tape, y), std::vector<double>{0, 0, 1e-30}, 1e-7, 0, "y");
    tape.backward(y, test::to_tensor(tape, {3}, {5, 6, 7}));
    test::expect_close(test::grad_of(tape, x), std::vector<double>{0, 0, 7}, 0, 0, "dx");
    EXPECT_TRUE(std::isnan(test::value_of(tape, engine::relu(tape, leaf(tape, {1}, {NAN})))[0]));
  }
}

TEST(Relu, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  for (const Stream stream : test::streams()) {
    for (const DType type : {DType::f32, DType::bf16}) {
      const Data a(kSizes[2], type);
      const engine::Shape shape{kSizes[2]};
      engine::Context context(stream, type);
      engine::Tape tape(context);
      const auto x = leaf(tape, shape, a.x, true, type),
                 frozen = leaf(tape, shape, a.x, false, type);
      const auto y = engine::add(tape, engine::relu(tape, x), engine::relu(tape, x));
      const auto z = engine::add(tape, y, engine::relu(tape, frozen));
      tape.backward(z, test::to_tensor(tape, shape, a.dy, type));
      test::expect_close(test::grad_of(tape, x), test::times(a.dx, 2), 0, 0, "used twice");
      EXPECT_FALSE(tape.grad(frozen));
    }
  }
}

}  // namespace
}  // namespace haze
