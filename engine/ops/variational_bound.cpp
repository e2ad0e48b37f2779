// SPDX-License-Identifier: MIT
// variational_bound.cpp — tape node of the variational bound.
#include "kernels/variational_bound/variational_bound.h"

#include "engine/ops.h"
#include "engine/process/dims.h"

namespace haze::engine {

constexpr int kBoundFloats = sizeof(BoundStep) / sizeof(float);

Tensor bound_table(Context& context, std::span<const BoundStep> steps) {
  const Tensor table = lasting(context, {int(steps.size()), kBoundFloats}, DType::f32);
  overwrite(context, table, std::as_bytes(steps));
  return table;
}

Var variational_bound(Tape& tape, Var out, const BoundBatch& batch, float scale,
                      const Tensor& terms) {
  const Tensor& o = tape.value(out);
  const Shape& data = batch.x0.shape;
  const auto d = prediction_dims(data, o);
  HAZE_CHECK(batch.x_t.shape == data && batch.x_t.dtype == o.dtype, "x0 is ", data.str(),
             ", x_t is ", batch.x_t.shape.str(), ' ', name_of(batch.x_t.dtype), ", out is ",
             name_of(o.dtype));
  HAZE_CHECK(batch.t.shape == Shape({d.n}) && (!terms || terms.shape == Shape({d.n})), "t is ",
             batch.t.shape.str(), ", terms ", terms.shape.str(), " for ", d.n, " items");
  const Shape& table = batch.table.shape;
  HAZE_CHECK(table.rank() == 2 && table[1] == kBoundFloats, "the table is ", table.str());
  HAZE_CHECK(!batch.weight || batch.weight.shape == Shape({table[0]}), "the table is ", table.str(),
             ", the weight ", batch.weight.shape.str());
  const kernels::BoundInputs in{
      batch.x0.f32(),     batch.x_t.in(),
      batch.t.i32(),      static_cast<const BoundStep*>(batch.table.raw()),
      batch.weight.f32(), table[0],
      batch.range};
  const Tensor loss = tape.empty({1}, DType::f32);
  const bool learns = d.variances && tape.needs_grad(out);
  const Tensor dout = learns ? tape.empty(o.shape, o.dtype) : Tensor{};
  const auto scratch = tape.scratch(kernels::item_sums_bytes(d.items()));
  if (dout) zero(tape.context(), dout);  // the predictions' half
  tape.run([&](auto s) {
    kernels::variational_bound(s, d, o.in(), in, scale, scratch.get(), loss.f32(),
                               dout ? dout.act() : kernels::Act{}, terms.f32());
  });
  // Saved for backward: the gradient itself, made in the same pass. Not saved: out, the batch.
  return tape.record("variational_bound", loss, {learns ? out : Var{}},
                     [=](Tape& t, const Tensor&) { t.accumulate(out, dout); });
}

}  // namespace haze::engine
