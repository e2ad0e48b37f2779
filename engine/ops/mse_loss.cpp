// SPDX-License-Identifier: MIT
// mse_loss.cpp — tape node of the training loss.
#include "engine/ops.h"
#include "engine/process/dims.h"
#include "kernels/mse/mse.h"

namespace haze::engine {
namespace {

/// A table [T] of the target's, all of one length.
const float* table(const Tensor& values, int& steps) {
  if (!values) return nullptr;
  HAZE_CHECK(values.shape.rank() == 1 && (steps == 0 || values.shape[0] == steps), "a table is ",
             values.shape.str(), ", another [", steps, ']');
  steps = values.shape[0];
  return values.f32();
}

/// The shape of the data that a prediction is of.
Shape data_shape(const Shape& pred, int channels) {
  if (channels == 0) return pred;
  std::vector<int> extents;
  for (int i = 0; i + 1 < pred.rank(); ++i) extents.push_back(pred[i]);
  extents.push_back(channels);
  return Shape(extents);
}

}  // namespace

Var mse_loss(Tape& tape, Var pred, const Target& target, float scale, const Tensor& item_loss) {
  const Tensor& p = tape.value(pred);
  const Shape data = data_shape(p.shape, target.channels);
  const auto d = prediction_dims(data, p);
  const Tensor &noise = target.noise.given, &x0 = target.x0, &t = target.t;
  for (const Tensor* given : {&noise, &x0})
    HAZE_CHECK(!*given || given->shape == data, "pred is ", p.shape.str(), ", target is ",
               given->shape.str());
  int steps = 0;
  const float* from_noise = table(target.from_noise, steps);
  const float* from_x0 = table(target.from_x0, steps);
  const float* weight = table(target.weight, steps);
  HAZE_CHECK(steps == 0 || t.shape == Shape({d.n}), "tables need t [", d.n, "], it is ",
             t.shape.str());
  HAZE_CHECK(!item_loss || item_loss.shape == Shape({d.n}), "item_loss is ", item_loss.shape.str(),
             " for ", d.n, " items");
  const kernels::MseTarget want{{noise.f32(), target.noise.key, target.noise.first_item},
                                x0.f32(),
                                steps == 0 ? nullptr : t.i32(),
                                from_noise,
                                from_x0,
                                weight,
                                steps};
  const Tensor loss = tape.empty({1}, DType::f32);
  const Tensor dpred = tape.needs_grad(pred) ? tape.empty(p.shape, p.dtype) : Tensor{};
  const auto scratch = tape.scratch(kernels::mse_scratch_bytes(d.items()));
  if (dpred && d.variances) zero(tape.context(), dpred);  // the variances' half
  tape.run([&](auto s) {
    kernels::mse(s, d, p.in(), want, scale, scratch.get(), loss.f32(),
                 dpred ? dpred.act() : kernels::Act{}, item_loss.f32());
  });
  // Saved for backward: the gradient itself, made in the same pass. Not saved: pred, target.
  return tape.record("mse_loss", loss, {pred},
                     [=](Tape& t, const Tensor&) { t.accumulate(pred, dpred); });
}

}  // namespace haze::engine
