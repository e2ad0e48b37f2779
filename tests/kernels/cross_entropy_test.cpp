// SPDX-License-Identifier: MIT
// cross_entropy_test.cpp — value and gradient of the classifier's loss: the three proofs.
#include "kernels/cross_entropy/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
namespace ref = kernels::reference;
using kernels::CrossEntropyDims;
using test::leaf;

std::vector<std::int32_t> labels_for(const CrossEntropyDims& d) {
  std::vector<std::int32_t> labels;
  for (int n = 0; n < d.n; ++n) labels.push_back((n * 7 + 3) % d.classes);
  return labels;
}

TEST(CrossEntropy, GradientMatchesFiniteDifferences) {
  const CrossEntropyDims d{4, 5};
  const auto z = test::normal(20, 1, 0, 2);
  const auto labels = labels_for(d);
  std::vector<double> dz(z.size());
  ref::cross_entropy_backward(d, z.data(), labels.data(), 0.7, dz.data());
  const auto f = [&](const std::vector<double>& in) {
    return std::vector{ref::cross_entropy_forward(d, in.data(), labels.data())};
  };
  test::expect_gradient(f, z, {0.7}, dz, 1e-7, "scale 0.7");
}

TEST(CrossEntropy, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const CrossEntropyDims d :
           {CrossEntropyDims{1, 1}, {3, 2}, {17, 10}, {9, 33}, {2, 1000}})
        for (const double offset : {0.0, 3000.0}) {  // without the largest taken out: inf
          const auto z = test::normal(std::size_t(d.n) * d.classes, 1, offset, 3, type);
          const auto labels = labels_for(d);
          engine::Context context(stream, type);
          engine::Tape tape(context);
          const auto in = leaf(tape, {d.n, d.classes}, z, true, type);
          const auto l = engine::cross_entropy(tape, in, test::to_tensor_i32(tape, labels), 0.25f);
          const std::string label = cat(d.n, "x", d.classes, " about ", offset, " ", name_of(type));
          // ln Σ: the sum's rounding, at most classes·2^-24 relative, is absolute in the logarithm;
          // the difference of logits and the final sum add a rounding each of numbers below 32.
          const double in_log = (d.classes + 4) * 0x1p-24;
          test::expect_close(test::value_of(tape, l),
                             std::vector{ref::cross_entropy_forward(d, z.data(), labels.data())},
                             0x1p-23, in_log + 32 * 0x1p-23, label);
          std::vector<double> dz(z.size());
          ref::cross_entropy_backward(d, z.data(), labels.data(), 0.25, dz.data());
          tape.backward(l);
          // Of a probability p: relative in_log and a few ulp; p - 1 has them absolutely.
          test::expect_close(test::grad_of(tape, in), dz,
                             in_log + 4 * 0x1p-23 + 2 * test::rounding(type),
                             0.25 / d.n * (in_log + 4 * 0x1p-23), label);
        }
}

TEST(CrossEntropy, WiringAndRefusals) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const CrossEntropyDims d{2, 3};
    const auto z = test::normal(6, 1);
    const auto labels = labels_for(d);
    const auto index = test::to_tensor_i32(tape, labels);
    const auto used = leaf(tape, {2, 3}, z), frozen = leaf(tape, {2, 3}, z, false);
    tape.backward(engine::cross_entropy(
        tape, engine::add(tape, engine::add(tape, used, used), frozen), index));
    std::vector<double> dz(6);
    ref::cross_entropy_backward(d, test::times(z, 3).data(), labels.data(), 1.0, dz.data());
    test::expect_close(test::grad_of(tape, used), test::times(dz, 2), 1e-5, 1e-6, "used twice");
    EXPECT_FALSE(tape.grad(frozen));

    for (const int wrong : {-1, 3}) {
      engine::Tape other(context);
      const auto in = leaf(other, {2, 3}, z);
      const auto l = engine::cross_entropy(other, in, test::to_tensor_i32(other, {0, wrong}));
      EXPECT_TRUE(std::isnan(test::value_of(other, l)[0])) << "label " << wrong;
      other.backward(l);
      const auto g = test::grad_of(other, in);
      EXPECT_FALSE(std::isnan(g[2])) << "label " << wrong;
      EXPECT_TRUE(std::isnan(g[3]) && std::isnan(g[5])) << "label " << wrong;
    }
    engine::Tape silent(context, false);
    const auto nan = leaf(silent, {1, 3}, {1, NAN, 2});
    EXPECT_TRUE(std::isnan(test::value_of(
        silent, engine::cross_entropy(silent, nan, test::to_tensor_i32(silent, {0})))[0]));
    test::expect_check([&] { engine::cross_entropy(tape, used, test::to_tensor_i32(tape, {1})); },
                       "[2,3], [1]");
  }
}

}  // namespace
}  // namespace haze
