// chain_steps.h — the parts that the samplers' steps are put together from (chain.cpp,
// solvers.cpp).
#pragma once
#include "model/chain.h"
#include "model/prediction.h"

namespace haze::model {

/// A step that predicts x0 at noise level `ab`, clipped if the process is, and does nothing yet.
engine::SamplerStep predict_x0(const DiffusionConfig& diffusion, double ab, float low, float high);

/// x' = of_x0·x0 + of_eps·eps + of_xt·x_t. Unclipped, x0 is never formed: near t = T it is a small
/// difference of large numbers.
void set_mean(engine::SamplerStep& c, const Reading& r, double of_x0, double of_eps, double of_xt);

/// The steps of the two solvers of the probability-flow ODE; levels[k] is alpha_bar before step k.
/// `levels` has one entry more than `times`: the level after the last step.
std::vector<ChainStep> dpmpp_steps(const DiffusionConfig& diffusion, const std::vector<int>& times,
                                   const std::vector<double>& levels, float low, float high);
std::vector<ChainStep> heun_steps(const DiffusionConfig& diffusion, const std::vector<int>& times,
                                  const std::vector<double>& levels, float low, float high);

}  // namespace haze::model
