// SPDX-License-Identifier: MIT
// concat.cpp — tape node of channel concatenation.
#include "kernels/concat/concat.h"

#include "engine/ops/joined.h"

namespace haze::engine {

void check_joined(const Tensor& x, const Tensor& z) {
  HAZE_CHECK(x.shape.rank() == 4 && z.shape.rank() == 4 && x.dtype == z.dtype &&
                 x.shape[0] == z.shape[0] && x.shape[1] == z.shape[1] && x.shape[2] == z.shape[2],
             "a and b must be [N,H,W,Ca] and [N,H,W,Cb] of one type: a is ", x.shape.str(), " ",
             name_of(x.dtype), ", b is ", z.shape.str(), " ", name_of(z.dtype));
}

Joined one_or_two(Tape& tape, Joined x) {
  if (!x.second) return x;
  check_joined(tape.value(x.first), tape.value(x.second));
  if (tape.context().fusion && x.first.id != x.second.id) return x;
  return concat_channels(tape, x.first, x.second);
}

Var concat_channels(Tape& tape, Var a, Var b) {
  const Tensor x = tape.value(a), z = tape.value(b);
  check_joined(x, z);
  const Shape& s = x.shape;
  const kernels::ConcatDims d{std::size_t(s[0]) * s[1] * s[2], s[3], z.shape[3]};
  const Tensor y = tape.empty({s[0], s[1], s[2], d.ca + d.cb}, x.dtype);
  tape.run([&](auto st) { kernels::concat_channels_forward(st, d, x.in(), z.in(), y.act()); });
  // Saved for backward: nothing.
  return tape.record("concat_channels", y, {a, b}, [=](Tape& t, const Tensor& dy) {
    const auto split = [&](kernels::Grad da, kernels::Grad db) {
      if (!da && !db) return;
      t.run([&](auto st) { kernels::concat_channels_backward(st, d, dy.in(), da, db); });
    };
    if (a.id != b.id) return split(t.grad_of(a), t.grad_of(b));
    split(t.grad_of(a), {});  // one buffer for both halves: overwritten first, then added to
    split({}, t.grad_of(b));
  });
}

}  // namespace haze::engine
