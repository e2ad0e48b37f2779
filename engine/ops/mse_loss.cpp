// mse_loss.cpp — tape node of the training loss.
#include "engine/ops.h"
#include "kernels/mse/mse.h"

namespace haze::engine {

Var mse_loss(Tape& tape, Var pred, const Target& target, float scale) {
  const Tensor& p = tape.value(pred);
  HAZE_CHECK(p.shape.rank() >= 2 && p.size() > 0, "pred must be [N,...], got ", p.shape.str());
  HAZE_CHECK(!target.given || target.given.shape == p.shape, "pred is ", p.shape.str(),
             ", target is ", target.given.shape.str());
  const kernels::ItemDims d{p.shape[0], int(p.size() / std::size_t(p.shape[0]))};
  const kernels::Noise want{target.given.f32(), target.key, target.first_item};
  const Tensor loss = tape.empty({1}, DType::f32);
  const Tensor dpred = tape.needs_grad(pred) ? tape.empty(p.shape, p.dtype) : Tensor{};
  const auto scratch = tape.scratch(kernels::mse_scratch_bytes(d));
  tape.run([&](auto s) {
    kernels::mse(s, d, p.in(), want, scale, scratch.get(), loss.f32(),
                 dpred ? dpred.act() : kernels::Act{});
  });
  // Saved for backward: the gradient itself, made in the same pass. Not saved: pred, target.
  return tape.record("mse_loss", loss, {pred},
                     [=](Tape& t, const Tensor&) { t.accumulate(pred, dpred); });
}

}  // namespace haze::engine
