// SPDX-License-Identifier: MIT
// cross_entropy.cpp — tape node of the classifier's loss.
#include "kernels/cross_entropy/cross_entropy.h"

#include "engine/ops.h"

namespace haze::engine {

Var cross_entropy(Tape& tape, Var logits, const Tensor& labels, float scale) {
  const Tensor& z = tape.value(logits);
  HAZE_CHECK(z.shape.rank() == 2 && z.size() > 0 && labels.shape == Shape({z.shape[0]}),
             "logits must be [N,classes] and labels [N]: ", z.shape.str(), ", ",
             labels.shape.str());
  const kernels::CrossEntropyDims d{z.shape[0], z.shape[1]};
  const Tensor loss = tape.empty({1}, DType::f32);
  const Tensor dz = tape.needs_grad(logits) ? tape.empty(z.shape, z.dtype) : Tensor{};
  const auto scratch = tape.scratch(kernels::cross_entropy_scratch_bytes(d));
  tape.run([&](auto s) {
    kernels::cross_entropy(s, d, z.in(), labels.i32(), scale, scratch.get(), loss.f32(),
                           dz ? dz.act() : kernels::Act{});
  });
  // Saved for backward: the gradient itself, made in the same pass. Not saved: logits, labels.
  return tape.record("cross_entropy", loss, {logits},
                     [=](Tape& t, const Tensor&) { t.accumulate(logits, dz); });
}

}  // namespace haze::engine
