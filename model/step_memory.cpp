// SPDX-License-Identifier: MIT
#include "model/step_memory.h"

namespace haze::model {

StepMemory::StepMemory(engine::Context& context, int parts)
    : parts_(parts),
      values_(context),
      results_(engine::lasting(context, {parts + 2}, DType::f32)) {}

void StepMemory::resize(engine::Context& context, int n) {
  times_ = engine::lasting(context, {n}, DType::i32);
  item_loss_ = engine::lasting(context, {n}, DType::f32);
}

void StepMemory::set(engine::Context& context, std::uint32_t step, const engine::AdamStep& adam,
                     std::span<const std::int32_t> times) {
  values_.set(context, {adam, step});
  if (!times.empty()) engine::overwrite(context, times_, times);
}

std::vector<float> StepMemory::results(engine::Context& context) const {
  return engine::download(context, results_);
}

std::vector<float> StepMemory::item_losses(engine::Context& context) const {
  return engine::download(context, item_loss_);
}

}  // namespace haze::model
