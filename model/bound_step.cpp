// SPDX-License-Identifier: MIT
#include "model/bound_step.h"

#include <cmath>

#include "model/parameterization.h"

namespace haze::model {

BoundStep bound_step(const Schedule& schedule, const DiffusionConfig& diffusion, int t) {
  const auto beta_tilde = [&](int at) {
    return schedule.beta[std::size_t(at)] * (1 - schedule.alpha_bar_at(at - 1)) /
           (1 - schedule.alpha_bar_at(at));
  };
  const double ab = schedule.alpha_bar_at(t), before = schedule.alpha_bar_at(t - 1);
  const double beta = schedule.beta[std::size_t(t)];
  const Parameterization p = parameterization_of(diffusion.prediction, ab);
  const double least = std::log(t > 0                  ? beta_tilde(t)
                                : schedule.steps() > 1 ? beta_tilde(1)
                                                       : beta);
  double most = std::log(beta);
  if (diffusion.variance == Variance::beta_tilde ||
      (t == 0 && diffusion.variance == Variance::beta))
    most = least;
  return {p.x0_xt, p.x0_out, std::sqrt(before) * beta / (1 - ab), least, least, most};
}

}  // namespace haze::model
