// SPDX-License-Identifier: MIT
// reshape.cpp — tape node without a kernel: the same storage under another shape.
#include "engine/ops.h"

namespace haze::engine {

Var reshape(Tape& tape, Var x, Shape shape) {
  return tape.record("reshape", tape.value(x).reshaped(shape), {x},
                     [=](Tape& t, const Tensor& dy) { t.accumulate(x, dy); });
}

}  // namespace haze::engine
