// SPDX-License-Identifier: MIT
// broadcast_pixels.cpp — tape node that repeats a vector at every pixel. The addition of a vector
// to zeros does it: no network does it more than once, at its narrow end.
#include "engine/ops.h"
#include "kernels/add/add.h"
#include "kernels/base/sizes.h"

namespace haze::engine {

Var broadcast_pixels(Tape& tape, Var v, int height, int width) {
  const Tensor& in = tape.value(v);
  HAZE_CHECK(in.shape.rank() == 2 && in.size() > 0 && height >= 1 && width >= 1,
             "v must be [N,C], got ", in.shape.str(), " for ", height, "x", width, " pixels");
  const int pixels = checked_int("pixels", {std::uint64_t(height), std::uint64_t(width)});
  const kernels::AddChannelDims d{in.shape[0], pixels, in.shape[1]};
  const Tensor y = tape.empty({d.n, height, width, d.c}, in.dtype);
  zero(tape.context(), y);
  tape.run([&](auto s) { kernels::add_channel_forward(s, d, y.in(), in.in(), y.act()); });
  // Saved for backward: nothing.
  return tape.record("broadcast_pixels", y, {v}, [=](Tape& t, const Tensor& dy) {
    if (const auto dv = t.grad_of(v))
      t.run([&](auto s) { kernels::add_channel_backward(s, d, dy.in(), dv); });
  });
}

}  // namespace haze::engine
