// SPDX-License-Identifier: MIT
// conv2d.cpp — tape node of the convolution with its fused summands.
#include "kernels/conv2d/conv2d.h"

#include <algorithm>

#include "engine/ops/joined.h"

namespace haze::engine {
namespace {

kernels::Conv2dDims dims_of(const Tensor& x, const Tensor& x2, const Tensor& w,
                            const Conv2dOptions& o) {
  const int c2 = x2 ? x2.shape[3] : 0;
  HAZE_CHECK(x.shape.rank() == 4 && w.shape.rank() == 4 && x.shape[3] + c2 == w.shape[3] &&
                 x.dtype == w.dtype && x.size() > 0 && w.size() > 0,
             "conv2d wants x [N,H,W,Ci] and w [Co,kH,kW,Ci] of one type: x is ", x.shape.str(), " ",
             name_of(x.dtype), ", w is ", w.shape.str(), " ", name_of(w.dtype));
  const kernels::Conv2dDims d{x.shape[0],   x.shape[1],  x.shape[2], w.shape[3], w.shape[0],
                              w.shape[1],   w.shape[2],  o.stride,   o.pad_top,  o.pad_left,
                              o.pad_bottom, o.pad_right, c2};
  HAZE_CHECK(o.stride == 1 || o.stride == 2, "a stride of 1 or 2, got ", o.stride);
  const bool fits =
      d.h + o.pad_top + o.pad_bottom >= d.kh && d.w + o.pad_left + o.pad_right >= d.kw;
  const bool pads = std::min({o.pad_top, o.pad_left, o.pad_bottom, o.pad_right}) >= 0 &&
                    std::max(o.pad_top, o.pad_bottom) < d.kh &&
                    std::max(o.pad_left, o.pad_right) < d.kw;
  HAZE_CHECK(fits && pads,
             "padding is smaller than the kernel, and the padded image holds it: x is ",
             x.shape.str(), ", w is ", w.shape.str(), ", padding top ", o.pad_top, ", left ",
             o.pad_left, ", bottom ", o.pad_bottom, ", right ", o.pad_right);
  return d;
}

void check_summand(const Tape& tape, Var v, const Shape& shape, DType type, const char* name) {
  if (!v) return;
  const Tensor& t = tape.value(v);
  HAZE_CHECK(t.shape == shape && t.dtype == type, name, " must be ", shape.str(), " ",
             name_of(type), ", got ", t.shape.str(), " ", name_of(t.dtype));
}

kernels::ConstAct in_of(const Tape& tape, Var v) {
  return v ? tape.value(v).in() : kernels::ConstAct{};
}

}  // namespace

Var conv2d(Tape& tape, Joined x, Var w, Var bias, const Conv2dOptions& options, Var per_channel,
           Var residual) {
  x = one_or_two(tape, x);
  if (!tape.context().fusion && (per_channel || residual)) {
    Var y = conv2d(tape, x, w, bias, options);
    if (per_channel) y = add_channel(tape, y, per_channel);
    return residual ? add(tape, y, residual) : y;
  }
  const Tensor in = tape.value(x.first), in2 = x.second ? tape.value(x.second) : Tensor{};
  const Tensor weight = tape.value(w);
  const auto d = dims_of(in, in2, weight, options);
  const auto joined = [=] { return kernels::Joined<kernels::ConstAct>(in.in(), in2.in()); };
  const Shape out{d.n, d.ho(), d.wo(), d.co};
  check_summand(tape, bias, {d.co}, DType::f32, "the bias");
  check_summand(tape, per_channel, {d.n, d.co}, in.dtype, "per_channel");
  check_summand(tape, residual, out, in.dtype, "the residual");
  const Tensor y = tape.empty(out, in.dtype);
  const kernels::Conv2dSummands summands{bias ? tape.value(bias).f32() : nullptr,
                                         in_of(tape, per_channel), in_of(tape, residual)};
  {
    const auto scratch = tape.scratch(
        [&](auto s) { return kernels::conv2d_forward_scratch_bytes(s, d, in.dtype, summands); });
    tape.run([&](auto s) {
      kernels::conv2d_forward(s, d, joined(), weight.in(), summands, y.act(), scratch.get());
    });
  }
  // Saved for backward: x and w. The output and the summands are not.
  const auto rule = [=](Tape& t, const Tensor& dy) {
    t.accumulate(residual, dy);
    const kernels::Conv2dWeightGrads grads{t.grad_of(w), t.grad_of(bias), t.grad_of(per_channel)};
    if (grads.w || grads.bias || grads.per_channel) {
      const auto scratch = t.scratch([&](auto s) {
        return kernels::conv2d_backward_weights_scratch_bytes(s, d, dy.dtype, grads);
      });
      t.run([&](auto s) {
        kernels::conv2d_backward_weights(s, d, joined(), dy.in(), grads, scratch.get());
      });
    }
    if (const kernels::Joined<kernels::Grad> dx{t.grad_of(x.first), t.grad_of(x.second)}; dx) {
      const auto scratch =
          t.scratch([&](auto s) { return kernels::conv2d_backward_data_scratch_bytes(s, d, dx); });
      t.run([&](auto s) {
        kernels::conv2d_backward_data(s, d, dy.in(), weight.in(), dx, scratch.get());
      });
    }
  };
  return tape.record("conv2d", y, {x.first, x.second, w, bias, per_channel, residual}, rule);
}

}  // namespace haze::engine
