// SPDX-License-Identifier: MIT
#include "model/chain_step.h"

#include <algorithm>
#include <cmath>

namespace haze::model {

using engine::SamplerStep;

SamplerStep predict_x0(const DiffusionConfig& diffusion, double ab, float low, float high) {
  const Parameterization r = parameterization_of(diffusion.prediction, ab);
  SamplerStep c;
  c.x0_from_xt = float(r.x0_xt);
  c.x0_from_out = float(r.x0_out);
  c.clip = diffusion.clip_x0;
  c.lo = low, c.hi = high;
  return c;
}

void set_mean(SamplerStep& c, const Parameterization& r, double of_x0, double of_eps,
              double of_xt) {
  double xt = of_xt + of_eps * r.eps_xt, out = of_eps * r.eps_out;
  if (c.clip)
    c.x0 = float(of_x0);
  else
    xt += of_x0 * r.x0_xt, out += of_x0 * r.x0_out;
  c.xt = float(xt), c.out = float(out);
}

SamplerStep ddpm_step(const Schedule& schedule, const DiffusionConfig& diffusion, int t,
                      int previous, float low, float high) {
  const double ab = schedule.alpha_bar_at(t), ab_prev = schedule.alpha_bar_at(previous);
  const double alpha = ab / ab_prev, beta = 1 - alpha;
  SamplerStep c = predict_x0(diffusion, ab, low, high);
  set_mean(c, parameterization_of(diffusion.prediction, ab), std::sqrt(ab_prev) * beta / (1 - ab),
           0, std::sqrt(alpha) * (1 - ab_prev) / (1 - ab));
  if (previous < 0 && !diffusion.noise_at_t0) return c;
  const double tilde = beta * (1 - ab_prev) / (1 - ab);
  if (diffusion.variance == Variance::learned) {
    c.learned = true;
    c.sigma = 1;
    c.log_variance_min = float(std::log(std::max(tilde, 1e-20)));  // 0 in the last step
    c.log_variance_max = float(std::log(beta));
  } else {
    c.sigma = float(std::sqrt(diffusion.variance == Variance::beta ? beta : tilde));
  }
  return c;
}

SamplerStep ddim_step(const Schedule& schedule, const DiffusionConfig& diffusion, double eta, int t,
                      int previous, float low, float high, bool rederive_eps) {
  const double ab = schedule.alpha_bar_at(t), ab_prev = schedule.alpha_bar_at(previous);
  const double sigma = eta * std::sqrt((1 - ab_prev) / (1 - ab) * (1 - ab / ab_prev));
  const double of_eps = std::sqrt(std::max(0.0, 1 - ab_prev - sigma * sigma));
  SamplerStep c = predict_x0(diffusion, ab, low, high);
  if (c.clip && rederive_eps)  // eps = (x_t - sqrt(ab)·x0)/sqrt(1 - ab)
    set_mean(c, {}, std::sqrt(ab_prev) - of_eps * std::sqrt(ab / (1 - ab)), 0,
             of_eps / std::sqrt(1 - ab));
  else
    set_mean(c, parameterization_of(diffusion.prediction, ab), std::sqrt(ab_prev), of_eps, 0);
  c.sigma = float(sigma);
  return c;
}

}  // namespace haze::model
