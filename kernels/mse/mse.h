// SPDX-License-Identifier: MIT
// mse.h — contract of the training loss: value and gradient of the mean squared error in one pass,
// against a target made of noise (given, or drawn again) and x0.
#pragma once
#include "kernels/base/dtype.h"
#include "kernels/base/item_tiles.h"
#include "kernels/base/prediction_dims.h"

namespace haze::kernels {

/// A double for each tile's sum of squares.
inline std::size_t mse_scratch_bytes(const ItemDims& d) { return item_sums_bytes(d); }

/// What the network must predict, by item: from_noise[t]·eps + from_x0[t]·x0. The noise itself with
/// no tables, x0 with (0, 1), v = sqrt(ᾱ)·eps - sqrt(1-ᾱ)·x0 (Salimans & Ho 2022, arXiv 2202.00512)
/// with those. Where from_noise[t] is 0 nothing is drawn.
struct MseTarget {
  Noise noise;
  const float* x0 = nullptr;          // [n,pixels,channels] f32; needed where from_x0 is given
  const std::int32_t* t = nullptr;    // [n]; needed where a table is given
  const float* from_noise = nullptr;  // [steps], as the others; null: 1
  const float* from_x0 = nullptr;     // null: 0
  const float* weight = nullptr;      // null: 1
  int steps = 0;
};

/// loss[0] = mean of weight[t]·(pred - target)² over n·pixels·channels values, summed in double, in
/// tiles and then over them, in an order that n and elements alone fix. Unless dpred is null: dpred
/// = scale·2·weight[t]/(n·pixels·channels)·(pred - target), of pred's type and layout; where d has
/// variances they are not read and their places in dpred keep what they hold. Overwrites loss,
/// dpred (no alias of pred), scratch (mse_scratch_bytes(d.items())) and, unless null, item_loss
/// [n]: each item's mean of (pred - target)², without weight. t outside [0,steps): CheckError on
/// the CPU, NaN on a device.
template <class S>
void mse(S stream, const PredictionDims& d, ConstAct pred, const MseTarget& target, float scale,
         void* scratch, float* loss, Act dpred, float* item_loss = nullptr);

}  // namespace haze::kernels
