// SPDX-License-Identifier: MIT
// pointwise.cpp — tape nodes of the element-wise functions: one line each, below.
#include "kernels/pointwise/pointwise.h"

#include "engine/ops.h"

namespace haze::engine {
namespace {

template <class F>
Var of_one(Tape& tape, Var x) {
  const Tensor& in = tape.value(x);
  const Tensor y = tape.empty(in.shape, in.dtype);
  tape.run([&](auto s) { kernels::pointwise_forward<F>(s, in.size(), in.in(), y.act()); });
  // Saved for backward: x, or y where the function says so. The other may be released.
  const Tensor kept = F::kKeepsY ? y : in;
  return tape.record(F::kName, y, {x}, [x, kept](Tape& t, const Tensor& dy) {
    const auto dx = t.grad_of(x);
    t.run([&](auto s) { kernels::pointwise_backward<F>(s, kept.size(), dy.in(), kept.in(), dx); });
  });
}

template <class F>
Var of_two(Tape& tape, Var a, Var b) {
  const Tensor u = tape.value(a), v = tape.value(b);
  HAZE_CHECK(u.shape == v.shape && u.dtype == v.dtype, F::kName, ": a is ", u.shape.str(), " ",
             name_of(u.dtype), ", b is ", v.shape.str(), " ", name_of(v.dtype));
  const Tensor y = tape.empty(u.shape, u.dtype);
  tape.run([&](auto s) { kernels::pointwise_forward<F>(s, u.size(), u.in(), v.in(), y.act()); });
  // Saved for backward: a and b.
  return tape.record(F::kName, y, {a, b}, [=](Tape& t, const Tensor& dy) {
    const auto da = t.grad_of(a);
    const auto db = t.grad_of(b);  // adds where a is b
    t.run([&](auto s) {
      kernels::pointwise_backward<F>(s, u.size(), dy.in(), u.in(), v.in(), da, db);
    });
  });
}

}  // namespace

Var swish(Tape& tape, Var x) { return of_one<kernels::Swish>(tape, x); }
Var relu(Tape& tape, Var x) { return of_one<kernels::Relu>(tape, x); }
Var multiply(Tape& tape, Var a, Var b) { return of_two<kernels::Multiply>(tape, a, b); }

}  // namespace haze::engine
