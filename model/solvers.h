// SPDX-License-Identifier: MIT
// solvers.h — the two solvers of the probability-flow ODE: DPM-Solver++(2M) and Heun.
#pragma once
#include <vector>

#include "model/chain_step.h"

namespace haze::model {

/// The solvers' steps; levels[k] is alpha_bar before step k.
/// `levels` has one entry more than `times`: the level after the last step.
std::vector<ChainStep> dpmpp_steps(const DiffusionConfig& diffusion, const std::vector<int>& times,
                                   const std::vector<double>& levels, float low, float high);
std::vector<ChainStep> heun_steps(const DiffusionConfig& diffusion, const std::vector<int>& times,
                                  const std::vector<double>& levels, float low, float high);

}  // namespace haze::model
