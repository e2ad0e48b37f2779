// SPDX-License-Identifier: MIT
// linear.cpp — tape node of the linear layer y = x wᵀ + b (+ residual).
#include "engine/ops.h"
#include "kernels/matmul/matmul.h"

namespace haze::engine {
namespace {

/// [...,K] and [M,K] -> [...,M].
Shape with_last(const Shape& x, int extent) {
  std::vector<int> extents;
  for (int i = 0; i + 1 < x.rank(); ++i) extents.push_back(x[i]);
  extents.push_back(extent);
  return Shape(extents);
}

}  // namespace

Var linear(Tape& tape, Var x, Var w, Var bias, Var residual) {
  if (!tape.context().fusion && residual) return add(tape, linear(tape, x, w, bias), residual);
  const Tensor in = tape.value(x), weight = tape.value(w);
  HAZE_CHECK(in.shape.rank() >= 1 && weight.shape.rank() == 2 && in.shape[-1] == weight.shape[1] &&
                 in.dtype == weight.dtype && in.size() > 0 && weight.size() > 0,
             "linear wants x [...,K] and w [M,K] of one type: x is ", in.shape.str(), " ",
             name_of(in.dtype), ", w is ", weight.shape.str(), " ", name_of(weight.dtype));
  const int k = in.shape[-1], m = weight.shape[0];
  const kernels::MatmulDims d{int(in.size() / std::size_t(k)), k, m};
  const Shape out = with_last(in.shape, m);
  const Tensor b = bias ? tape.value(bias) : Tensor{},
               r = residual ? tape.value(residual) : Tensor{};
  HAZE_CHECK(!b || (b.shape == Shape({m}) && b.dtype == DType::f32), "the bias must be [", m,
             "] f32, got ", b.shape.str(), " ", name_of(b.dtype));
  HAZE_CHECK(!r || (r.shape == out && r.dtype == in.dtype), "the residual must be ", out.str(), " ",
             name_of(in.dtype), ", got ", r.shape.str(), " ", name_of(r.dtype));
  const Tensor y = tape.empty(out, in.dtype);
  {
    const auto scratch = tape.scratch([&](auto s) {
      return kernels::matmul_forward_scratch_bytes(s, d, in.dtype, bool(b), bool(r));
    });
    tape.run([&](auto s) {
      kernels::matmul_forward(s, d, in.in(), weight.in(), b ? b.f32() : nullptr, r.in(), y.act(),
                              scratch.get());
    });
  }
  // Saved for backward: x and w. The output, bias and residual are not.
  const auto rule = [=](Tape& t, const Tensor& dy) {
    t.accumulate(residual, dy);
    const kernels::Grad dw = t.grad_of(w), dbias = t.grad_of(bias);
    if (dw || dbias) {
      const auto scratch = t.scratch([&](auto s) {
        return kernels::matmul_backward_weights_scratch_bytes(s, d, dy.dtype, dw, dbias);
      });
      t.run([&](auto s) {
        kernels::matmul_backward_weights(s, d, in.in(), dy.in(), dw, dbias, scratch.get());
      });
    }
    if (const auto dx = t.grad_of(x)) {
      const auto scratch =
          t.scratch([&](auto s) { return kernels::matmul_backward_data_scratch_bytes(s, d, dx); });
      t.run([&](auto s) {
        kernels::matmul_backward_data(s, d, dy.in(), weight.in(), dx, scratch.get());
      });
    }
  };
  return tape.record("linear", y, {x, w, bias, residual}, rule);
}

}  // namespace haze::engine
