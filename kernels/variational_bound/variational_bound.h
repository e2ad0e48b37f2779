// SPDX-License-Identifier: MIT
// variational_bound.h — contract of the terms of the variational bound (Ho et al. 2020, eq. 5;
// Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 4 to 7): what a network with a learned variance is
// trained with, and what its negative log-likelihood is made of.
#pragma once
#include "kernels/base/dtype.h"
#include "kernels/base/item_tiles.h"
#include "kernels/base/prediction_dims.h"

namespace haze::kernels {

/// What the term of one time needs. The posterior q(x_{t-1} | x_t, x0) and the model's p(x_{t-1} |
/// x_t) have means that differ by posterior_x0·(x0 - prediction of x0).
struct BoundStep {
  float x0_from_xt = 0, x0_from_out = 0;  // the prediction of x0
  float posterior_x0 = 0;                 // coefficient of x0 in the posterior's mean; at t = 0: 1
  float posterior_log_variance = 0;       // not used at t = 0
  float log_variance_min = 0, log_variance_max = 0;  // the model's: f·max + (1 - f)·min with f =
};                                                   // (v + 1)/2; without variances, min

/// The data's range: what the prediction of x0 is limited to if `clip`, and, in 255 steps, where
/// the 8-bit values lie.
struct BoundRange {
  bool clip = true;
  float lo = -1, hi = 1;
};

/// A batch [n,pixels,channels] and the tables that its times look up.
struct BoundInputs {
  const float* x0 = nullptr;        // f32
  ConstAct x_t;                     // of out's type
  const std::int32_t* t = nullptr;  // [n]
  const BoundStep* table = nullptr;
  const float* weight = nullptr;  // null: 1
  int steps = 0;                  // of table and weight
  BoundRange range;
};

/// L_t of each item in nats per value, the mean over its values of
///   t > 0: KL(N(m_q, s_q²) || N(m_p, s_p²))
///          = ½(s_q²/s_p² - 1 - ln(s_q²/s_p²) + (m_q - m_p)²/s_p²),
///   t = 0: -ln of the mass that N(m_p, s_p²) puts on the bin of the 8-bit value x0, half a step to
///          either side, to infinity at the ends of the range; a mass below 1e-12 counts as 1e-12.
/// loss[0] = mean over items of weight[t]·L_t, summed in double as mse does. Unless dout is null,
/// the variances' places of dout (out's type and layout; d.variances needed) become scale·d
/// loss/dv, the means taken as fixed, and the predictions' places keep what they hold. Overwrites
/// loss, scratch (item_sums_bytes(d.items())) and, unless null, terms [n]: the L_t. t outside
/// [0,steps): CheckError on the CPU, NaN on a device.
template <class S>
void variational_bound(S stream, const PredictionDims& d, ConstAct out, const BoundInputs& in,
                       float scale, void* scratch, float* loss, Act dout, float* terms = nullptr);

}  // namespace haze::kernels
