// relu.cpp — tape node of the rectifier.
#include "kernels/relu/relu.h"

#include "engine/ops.h"

namespace haze::engine {

Var relu(Tape& tape, Var x) {
  const Tensor& in = tape.value(x);
  const Tensor y = tape.empty(in.shape, in.dtype);
  tape.run([&](auto s) { kernels::relu_forward(s, in.size(), in.in(), y.act()); });
  // Saved for backward: y, which the next layer usually keeps as its input. Not x.
  return tape.record("relu", y, {x}, [=](Tape& t, const Tensor& dy) {
    const auto dx = t.grad_of(x);
    t.run([&](auto s) { kernels::relu_backward(s, y.size(), dy.in(), y.in(), dx); });
  });
}

}  // namespace haze::engine
