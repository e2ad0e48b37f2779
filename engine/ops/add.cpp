// SPDX-License-Identifier: MIT
// add.cpp — tape nodes of the additions: a + b, and a vector per image and channel.
#include "kernels/add/add.h"

#include "engine/ops.h"

namespace haze::engine {

Var add(Tape& tape, Var a, Var b) {
  const Tensor &x = tape.value(a), &z = tape.value(b);
  HAZE_CHECK(x.shape == z.shape && x.dtype == z.dtype, "a is ", x.shape.str(), " ",
             name_of(x.dtype), ", b is ", z.shape.str(), " ", name_of(z.dtype));
  const Tensor y = tape.empty(x.shape, x.dtype);
  tape.run([&](auto s) { kernels::add_forward(s, x.size(), x.in(), z.in(), y.act()); });
  // Saved for backward: nothing.
  return tape.record("add", y, {a, b}, [=](Tape& t, const Tensor& dy) {
    t.accumulate(a, dy);
    t.accumulate(b, dy);
  });
}

Var add_channel(Tape& tape, Var x, Var v) {
  const Tensor &in = tape.value(x), &vec = tape.value(v);
  const int n = in.shape[0], c = in.shape[-1];
  HAZE_CHECK(in.shape.rank() >= 2 && in.dtype == vec.dtype && vec.shape == Shape({n, c}),
             "v must be [N,C] of x's type: x is ", in.shape.str(), ", v is ", vec.shape.str());
  const kernels::AddChannelDims d{n, int(in.size() / std::size_t(n) / std::size_t(c)), c};
  const Tensor y = tape.empty(in.shape, in.dtype);
  tape.run([&](auto s) { kernels::add_channel_forward(s, d, in.in(), vec.in(), y.act()); });
  // Saved for backward: nothing.
  return tape.record("add_channel", y, {x, v}, [=](Tape& t, const Tensor& dy) {
    t.accumulate(x, dy);
    if (const auto dv = t.grad_of(v))
      t.run([&](auto s) { kernels::add_channel_backward(s, d, dy.in(), dv); });
  });
}

}  // namespace haze::engine
