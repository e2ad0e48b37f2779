// SPDX-License-Identifier: MIT
// step_memory.h — the numbers of a training step at fixed addresses in device memory: the step's
// index, Adam's coefficients, given times, and the results. Because they lie there, a step can be
// captured once and replayed (engine/replay.h).
#pragma once
#include <span>
#include <vector>

#include "engine/adam.h"
#include "engine/device_tensor.h"

namespace haze::model {

class StepMemory {
 public:
  /// `parts`: in how many pieces a batch is computed, each with a loss of its own.
  StepMemory(engine::Context& context, int parts);

  /// Makes room for the times and losses of a batch of n images; their addresses change.
  void resize(engine::Context& context, int n);
  /// For the step of this index; `times` [n] where they are given instead of drawn on the device.
  void set(engine::Context& context, std::uint32_t step, const engine::AdamStep& adam,
           std::span<const std::int32_t> times = {});

  const std::uint32_t* step() const { return &values_.on_device()->step; }
  const engine::AdamStep* adam() const { return &values_.on_device()->adam; }
  /// The given times of rows [first, first + n) of the batch, and where their losses go.
  engine::Tensor times(int first, int n) const { return engine::rows(times_, first, n); }
  engine::Tensor item_loss(int first, int n) const { return engine::rows(item_loss_, first, n); }
  std::vector<float> item_losses(engine::Context& context) const;
  /// Where the results go: the loss of each part, [1] f32 each and [parts] together, and what
  /// adam_step says of the update, [2] f32.
  engine::Tensor loss(int part) const { return engine::rows(results_, part, 1); }
  engine::Tensor losses() const { return engine::rows(results_, 0, parts_); }
  engine::Tensor update() const { return engine::rows(results_, parts_, 2); }
  /// Reads them: losses of the parts, the norm of the gradient, and 1 if the update was made, 0 if it
  /// was skipped. Waits for the device.
  std::vector<float> results(engine::Context& context) const;

 private:
  struct Values {
    engine::AdamStep adam;
    std::uint32_t step;
  };
  int parts_;
  engine::DeviceValue<Values> values_;
  engine::Tensor results_;  // [parts + 2] f32
  engine::Tensor times_, item_loss_;
};

}  // namespace haze::model
