// SPDX-License-Identifier: MIT
// chain_step.h — one step of a sampler as coefficients, and the parts that every sampler's steps are
// put together from (chain.cpp, solvers.cpp).
#pragma once
#include "engine/process/process.h"
#include "model/config.h"
#include "model/parameterization.h"
#include "model/schedule.h"

namespace haze::model {

struct ChainStep {
  int t = 0;               // of the network's call
  bool calls = true;       // false: noise is added, back up to an earlier level
  engine::SamplerStep c;   // from x, the network's output and history to the next x
  double alpha_bar_after;  // the noise level that x has after the step; 1: the image
};

/// A step that predicts x0 at noise level `ab`, clipped if the process is, and does nothing yet.
engine::SamplerStep predict_x0(const DiffusionConfig& diffusion, double ab, float low, float high);

/// x' = of_x0·x0 + of_eps·eps + of_xt·x_t. Unclipped, x0 is never formed: near t = T it is a small
/// difference of large numbers.
void set_mean(engine::SamplerStep& c, const Parameterization& r, double of_x0, double of_eps,
              double of_xt);

/// The step from time t to `previous` (-1: to the image itself), for a DDPM chain over any subset
/// of times: alpha_t = alpha_bar_t / alpha_bar_previous takes the place of the schedule's own. The
/// mean is the posterior's (Ho et al. eq. 7) of the predicted x0.
engine::SamplerStep ddpm_step(const Schedule& schedule, const DiffusionConfig& diffusion, int t,
                              int previous, float low, float high);
/// The same for DDIM: sigma = eta·sqrt((1 - ab_prev)/(1 - ab)·(1 - ab/ab_prev)).
engine::SamplerStep ddim_step(const Schedule& schedule, const DiffusionConfig& diffusion,
                              double eta, int t, int previous, float low, float high,
                              bool rederive_eps = false);

}  // namespace haze::model
