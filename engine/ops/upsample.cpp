// SPDX-License-Identifier: MIT
// upsample.cpp — tape node of nearest-neighbour upsampling.
#include "kernels/upsample/upsample.h"

#include "engine/ops.h"

namespace haze::engine {

Var upsample2x(Tape& tape, Var x) {
  const Tensor& in = tape.value(x);
  HAZE_CHECK(in.shape.rank() == 4, "x must be [N,H,W,C], got ", in.shape.str());
  const kernels::UpsampleDims d{in.shape[0], in.shape[1], in.shape[2], in.shape[3]};
  const Tensor y = tape.empty({d.n, 2 * d.h, 2 * d.w, d.c}, in.dtype);
  tape.run([&](auto s) { kernels::upsample2x_forward(s, d, in.in(), y.act()); });
  // Saved for backward: nothing.
  return tape.record("upsample2x", y, {x}, [=](Tape& t, const Tensor& dy) {
    if (const auto dx = t.grad_of(x))
      t.run([&](auto s) { kernels::upsample2x_backward(s, d, dy.in(), dx); });
  });
}

}  // namespace haze::engine
