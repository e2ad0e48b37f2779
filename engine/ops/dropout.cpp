// SPDX-License-Identifier: MIT
// dropout.cpp — tape node of dropout.
#include "kernels/dropout/dropout.h"

#include "engine/ops.h"

namespace haze::engine {

Var dropout(Tape& tape, Var x, float p, RandomKey key, std::uint32_t first_item) {
  HAZE_CHECK(p >= 0 && p < 1, "p is ", p, "; in [0,1)");
  if (p == 0) return x;
  const Tensor& in = tape.value(x);
  HAZE_CHECK(in.shape.rank() >= 2 && in.size() > 0, "x must be [N,...], got ", in.shape.str());
  const kernels::ItemDims d{in.shape[0], int(in.size() / std::size_t(in.shape[0]))};
  const kernels::DropoutMask mask(p, key, first_item);
  const Tensor y = tape.empty(in.shape, in.dtype);
  tape.run([&](auto s) { kernels::dropout_forward(s, d, mask, in.in(), y.act()); });
  // Saved for backward: nothing but the key; the mask is drawn again.
  return tape.record("dropout", y, {x}, [=](Tape& t, const Tensor& dy) {
    if (const auto dx = t.grad_of(x))
      t.run([&](auto s) { kernels::dropout_backward(s, d, mask, dy.in(), dx); });
  });
}

}  // namespace haze::engine
