// SPDX-License-Identifier: MIT
// bound_step.h — one step of the chain as two Gaussians, for the variational bound: what training a
// learned variance and measuring the likelihood (eval/likelihood.h) share.
#pragma once
#include "model/config.h"
#include "model/schedule.h"

namespace haze::model {

/// What one step of the chain is as distributions, for the bound (Ho et al. 2020, eq. 5 to 7).
/// Everything in double; t = 0 .. T-1.
struct BoundStep {
  double x0_xt, x0_out;        // the predicted x0 = x0_xt·x_t + x0_out·out
  double posterior_x0;         // the posterior's mean depends on x0 by this factor, on x_t alike
  double posterior_log;        // ln of the posterior's variance; at t = 0 that of t = 1
  double log_least, log_most;  // ln of the model's variance: between these by v, or both the same
};
/// The model's variance at t = 0, where beta-tilde is 0, is beta-tilde of t = 1 unless it is
/// learned, as in the code of Ho et al. and of Nichol & Dhariwal.
BoundStep bound_step(const Schedule& schedule, const DiffusionConfig& diffusion, int t);

}  // namespace haze::model
