// SPDX-License-Identifier: MIT
// recorded_batch.h — training on a batch in which
// everything is given, as another framework recorded it.
#pragma once
#include <span>

#include "model/trainer.h"

namespace haze::model {

/// In haze's layout.
struct RecordedBatch {
  std::span<const float> x0, noise;  // [N,H,W,C]
  std::span<const std::int32_t> t;   // [N]
  int n, height, width, channels;
};

/// The batch's own noise and times, for Trainer::step and loss_and_gradients. What it spans and
/// `tables` stay where they are. CheckError for sizes that do not fit together.
Noising recorded_noising(engine::Context& context, const engine::NoiseTables& tables,
                         const RecordedBatch& batch);

}  // namespace haze::model
