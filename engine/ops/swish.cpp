// swish.cpp — tape node of Swish.
#include "kernels/swish/swish.h"

#include "engine/ops.h"

namespace haze::engine {

Var swish(Tape& tape, Var x) {
  const Tensor& in = tape.value(x);
  const Tensor y = tape.empty(in.shape, in.dtype);
  tape.run([&](auto s) { kernels::swish_forward(s, in.size(), in.in(), y.act()); });
  // Saved for backward: x. Not y, not sigmoid(x).
  return tape.record("swish", y, {x}, [=](Tape& t, const Tensor& dy) {
    const auto dx = t.grad_of(x);
    t.run([&](auto s) { kernels::swish_backward(s, in.size(), dy.in(), in.in(), dx); });
  });
}

}  // namespace haze::engine
