// SPDX-License-Identifier: MIT
// pointwise.h — the three proofs of an element-wise function, written once:
//   1. the gradient rule is the gradient of the reference (double, finite differences)
//   2. every backend computes the reference, forward and backward, in f32 and bf16
//   3. the tape wires it: gradients add up over uses, only where asked for; bad input is refused
// A test says what is its own: the op, what inputs to draw, and how far f32 may be from double.
#pragma once
#include "kernels/pointwise/reference.h"
#include "tests/support/tape.h"

namespace haze::test {

/// Allowed beside the rounding of the result to its type: rtol·|want| + atol. 0, 0: the same bits.
struct Allowance {
  double rtol = 0, atol = 0;
  bool exact() const { return rtol == 0 && atol == 0; }
  double relative(DType type) const { return exact() ? 0 : 2 * rounding(type) + rtol; }
};

template <int kInputs>
struct Pointwise;
template <>
struct Pointwise<1> {
  engine::Var (*op)(engine::Tape&, engine::Var);
  double spread;  // standard deviation of the inputs
  Allowance y, gradient;
  double kink = 0;  // proof 1 keeps the inputs so far from 0, where f has no derivative
};
template <>
struct Pointwise<2> {
  engine::Var (*op)(engine::Tape&, engine::Var, engine::Var);
  double spread;
  Allowance y, gradient;
  double kink = 0;
};

// One value; less than a vector register; nothing divides; enough for several threads.
inline constexpr int kPointwiseSizes[] = {1, 7, 35 * 13, 32771};

/// Inputs, the gradient of the result, and what the reference says.
template <class F, int kInputs>
struct PointwiseData {
  using Values = std::vector<double>;
  PointwiseData(int size, double spread, DType type = DType::f32, double kink = 0)
      : n(std::size_t(size)), dy(normal(n, 1, 0, 1, type)) {
    for (unsigned i = 0; i < kInputs; ++i) in.push_back(normal(n, 2 + i, 0, spread, type));
    for (Values& v : in)
      for (double& e : v) e += e < 0 ? -kink : kink;
    y = forward(in);
    gradient = backward(in);
  }
  Values forward(const std::vector<Values>& v) const {
    Values out(n);
    if constexpr (kInputs == 1)
      kernels::reference::pointwise_forward<F>(n, v[0].data(), out.data());
    else
      kernels::reference::pointwise_forward<F>(n, v[0].data(), v[1].data(), out.data());
    return out;
  }
  std::vector<Values> backward(const std::vector<Values>& v) const {
    std::vector<Values> d(kInputs, Values(n));
    if constexpr (kInputs == 1)
      kernels::reference::pointwise_backward<F>(
          n, dy.data(), (F::kKeepsY ? forward(v) : v[0]).data(), d[0].data());
    else
      kernels::reference::pointwise_backward<F>(n, dy.data(), v[0].data(), v[1].data(), d[0].data(),
                                                d[1].data());
    return d;
  }
  std::size_t n;
  Values dy, y;
  std::vector<Values> in, gradient;
};

/// Proof 1, all inputs in one vector, so that none is forgotten.
template <class F, int kInputs>
void gradient_matches_finite_differences(const Pointwise<kInputs>& at) {
  for (const int size : kPointwiseSizes) {
    const PointwiseData<F, kInputs> a(size, at.spread, DType::f32, at.kink);
    const auto f = [&](const std::vector<double>& x) {
      std::vector<std::vector<double>> in;
      for (std::size_t i = 0; i < kInputs; ++i)
        in.emplace_back(x.data() + i * a.n, x.data() + (i + 1) * a.n);
      return a.forward(in);
    };
    expect_gradient(
        f, join(a.in[0], kInputs == 2 ? a.in[kInputs - 1] : std::vector<double>{}), a.dy,
        join(a.gradient[0], kInputs == 2 ? a.gradient[kInputs - 1] : std::vector<double>{}), 1e-7,
        std::to_string(size));
  }
}

/// Proof 2.
template <class F, int kInputs>
void backends_match_reference(const Pointwise<kInputs>& at) {
  for (const Stream stream : streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const int size : kPointwiseSizes) {
        const PointwiseData<F, kInputs> a(size, at.spread, type);
        engine::Context context(stream, type);
        engine::Tape tape(context);
        std::vector<engine::Var> in;
        for (const auto& v : a.in) in.push_back(leaf(tape, {size}, v, true, type));
        engine::Var y;
        if constexpr (kInputs == 1)
          y = at.op(tape, in[0]);
        else
          y = at.op(tape, in[0], in[1]);
        expect_close(value_of(tape, y), a.y, at.y.relative(type), at.y.atol, "y");
        tape.backward(y, to_tensor(tape, {size}, a.dy, type));
        for (std::size_t i = 0; i < kInputs; ++i)
          expect_close(grad_of(tape, in[i]), a.gradient[i], at.gradient.relative(type),
                       at.gradient.atol, cat("gradient of input ", i));
      }
}

/// Twice a gradient that may be off as `one` says: both deliveries are, and the sum is rounded. It
/// is exact where they are.
inline void expect_twice(const std::vector<double>& got, const std::vector<double>& gradient,
                         const Allowance& one, DType type, const std::string& label) {
  expect_close(got, times(gradient, 2), one.exact() ? 0 : one.relative(type) + rounding(type),
               2 * one.atol, label);
}

/// Proof 3, one input.
template <class F>
void wires_the_tape(const Pointwise<1>& at) {
  for (const Stream stream : streams())
    for (const DType type : {DType::f32, DType::bf16}) {
      const PointwiseData<F, 1> a(kPointwiseSizes[2], at.spread, type);
      const engine::Shape shape{int(a.n)};
      engine::Context context(stream, type);
      engine::Tape tape(context);
      const auto x = leaf(tape, shape, a.in[0], true, type),
                 frozen = leaf(tape, shape, a.in[0], false, type);
      const auto y = engine::add(tape, at.op(tape, x), at.op(tape, x));
      tape.backward(engine::add(tape, y, at.op(tape, frozen)), to_tensor(tape, shape, a.dy, type));
      expect_twice(grad_of(tape, x), a.gradient[0], at.gradient, type, "used twice");
      EXPECT_FALSE(tape.grad(frozen));
      expect_check(
          [&] {
            at.op(tape, tape.leaf(to_tensor_i32(tape, {1, 2, 3})));
          },
          "activations are f32 or bf16, got i32");
    }
}

/// Proof 3, two inputs: each is used alone and beside the other, and one stands on both sides.
template <class F>
void wires_the_tape(const Pointwise<2>& at) {
  for (const Stream stream : streams())
    for (const DType type : {DType::f32, DType::bf16}) {
      const PointwiseData<F, 2> data(kPointwiseSizes[2], at.spread, type);
      const engine::Shape shape{int(data.n)};
      engine::Context context(stream, type);
      engine::Tape tape(context);
      const auto a = leaf(tape, shape, data.in[0], true, type),
                 b = leaf(tape, shape, data.in[1], true, type);
      const auto frozen_a = leaf(tape, shape, data.in[0], false, type),
                 frozen_b = leaf(tape, shape, data.in[1], false, type);
      const auto y = engine::add(tape, at.op(tape, a, frozen_b), at.op(tape, a, b));
      const auto c = leaf(tape, shape, data.in[0], true, type);
      const auto z = engine::add(tape, at.op(tape, frozen_a, b), at.op(tape, c, c));
      tape.backward(engine::add(tape, y, z), to_tensor(tape, shape, data.dy, type));
      expect_twice(grad_of(tape, a), data.gradient[0], at.gradient, type, "a, used twice");
      expect_twice(grad_of(tape, b), data.gradient[1], at.gradient, type, "b, used twice");
      EXPECT_FALSE(tape.grad(frozen_a));
      EXPECT_FALSE(tape.grad(frozen_b));
      // da + db may cancel: each may be off by its share of the sum of their sizes. The last summand
      // keeps the quotient finite where both are 0.
      const auto both = data.backward({data.in[0], data.in[0]});
      auto got = grad_of(tape, c), want = got;
      for (std::size_t i = 0; i < data.n; ++i) {
        const double da = both[0][i], db = both[1][i];
        const double allowed =
            (at.gradient.relative(type) + 2 * rounding(type)) * (std::abs(da) + std::abs(db)) +
            2 * at.gradient.atol + 0x1p-126;
        got[i] /= allowed;
        want[i] = (da + db) / allowed;
      }
      expect_close(got, want, 0, 1, "c, on both sides, as multiples of what is allowed");
      const auto other = leaf(tape, {3}, {1, 2, 3}, true, type);
      expect_check([&] { at.op(tape, a, other); },
                   cat(F::kName, ": a is ", shape.str(), " ", name_of(type), ", b is [3] "));
    }
}

}  // namespace haze::test
