// SPDX-License-Identifier: MIT
// conv_transpose2d.cpp — tape node of the transposed convolution that doubles an image.
#include "kernels/conv_transpose2d/conv_transpose2d.h"

#include "engine/ops.h"

namespace haze::engine {

Var conv_transpose2d(Tape& tape, Var x, Var w, Var bias) {
  const Tensor in = tape.value(x), weight = tape.value(w);
  HAZE_CHECK(in.shape.rank() == 4 && weight.shape.rank() == 4 && in.dtype == weight.dtype &&
                 weight.shape[1] == 4 && weight.shape[2] == 4 && weight.shape[3] == in.shape[3] &&
                 in.size() > 0 && weight.size() > 0,
             "conv_transpose2d wants x [N,H,W,Ci] and w [Co,4,4,Ci] of one type: x is ",
             in.shape.str(), " ", name_of(in.dtype), ", w is ", weight.shape.str(), " ",
             name_of(weight.dtype));
  const kernels::ConvTranspose2dDims d{in.shape[0], in.shape[1], in.shape[2], in.shape[3],
                                       weight.shape[0]};
  const Tensor b = bias ? tape.value(bias) : Tensor{};
  HAZE_CHECK(!b || (b.shape == Shape({d.co}) && b.dtype == DType::f32), "the bias must be [", d.co,
             "] f32, got ", b.shape.str(), " ", name_of(b.dtype));
  const Tensor y = tape.empty({d.n, 2 * d.h, 2 * d.w, d.co}, in.dtype);
  {
    const auto scratch = tape.scratch(
        [&](auto s) { return kernels::conv_transpose2d_forward_scratch_bytes(s, d, in.dtype); });
    tape.run([&](auto s) {
      kernels::conv_transpose2d_forward(s, d, in.in(), weight.in(), b ? b.f32() : nullptr, y.act(),
                                        scratch.get());
    });
  }
  // Saved for backward: x and w. The output and the bias are not.
  const auto rule = [=](Tape& t, const Tensor& dy) {
    const kernels::Grad dw = t.grad_of(w), dbias = t.grad_of(bias);
    if (dw || dbias) {
      const auto scratch = t.scratch([&](auto s) {
        return kernels::conv_transpose2d_backward_weights_scratch_bytes(s, d, dy.dtype, dw, dbias);
      });
      t.run([&](auto s) {
        kernels::conv_transpose2d_backward_weights(s, d, in.in(), dy.in(), dw, dbias,
                                                   scratch.get());
      });
    }
    if (const auto dx = t.grad_of(x)) {
      const auto scratch = t.scratch(
          [&](auto s) { return kernels::conv_transpose2d_backward_data_scratch_bytes(s, d, dx); });
      t.run([&](auto s) {
        kernels::conv_transpose2d_backward_data(s, d, dy.in(), weight.in(), dx, scratch.get());
      });
    }
  };
  return tape.record("conv_transpose2d", y, {x, w, bias}, rule);
}

}  // namespace haze::engine
