// SPDX-License-Identifier: MIT
// solvers.cpp — solvers of the probability-flow ODE of higher order: DPM-Solver++(2M) and Heun.
#include "model/solvers.h"

#include <cmath>

namespace haze::model {

using engine::SamplerStep;

// With alpha = sqrt(ab), sigma = sqrt(1 - ab), lambda = log(alpha/sigma), h = lambda' - lambda and
// D the prediction of x0 at the start of a step, the solution to first order in h is
//   x' = (sigma'/sigma)·x - alpha'·(e^-h - 1)·D.
// 2M replaces D by D + (D - D_before)/(2r), r = h_before/h: the history is D_before. At the image
// sigma' = 0 and e^-h = 0: x' = D.
std::vector<ChainStep> dpmpp_steps(const DiffusionConfig& diffusion, const std::vector<int>& times,
                                   const std::vector<double>& levels, float low, float high) {
  std::vector<ChainStep> steps;
  const auto lambda = [&](std::size_t k) { return std::log(levels[k] / (1 - levels[k])) / 2; };
  for (std::size_t k = 0; k < times.size(); ++k) {
    const double ab = levels[k], next = levels[k + 1];
    SamplerStep c = predict_x0(diffusion, ab, low, high);
    const bool last = k + 1 == times.size();
    const double of_x = std::sqrt((1 - next) / (1 - ab));
    const double of_d = std::sqrt(next) * (1 - of_x * std::sqrt(ab / next));
    double more = 0;
    if (k > 0 && !last) more = (lambda(k + 1) - lambda(k)) / (lambda(k) - lambda(k - 1)) / 2;
    set_mean(c, parameterization_of(diffusion.prediction, ab), of_d * (1 + more), 0, of_x);
    c.history = float(-of_d * more);
    c.keep_x0 = 1;
    steps.push_back({times[k], true, c, next});
  }
  return steps;
}

// In the variables of Karras et al. y = x/sqrt(ab) and s = sqrt((1 - ab)/ab), dy/ds = eps: Euler's
// step to s' is DDIM's, and Heun's corrects it by a mean of eps here and eps' there,
//   y' = y + (s' - s)·((1 - g)·eps + g·eps'),   g = 1/2 in Karras et al., algorithm 1.
// With D the prediction of x0, eps = (y - D)/s and r = s/s' that is
//   y' = D + (y - D)/r + g·(r - 1)·(D' - D):
// with g = 1/2 the difference of two predictions counts (r - 1)/2 times, and beyond r = 2 the step
// leaves the data's range. That is harmless where s is below the data's own spread, for there eps
// is nearly linear in s (of a Gaussian of variance v it goes as s/sqrt(s² + v)); above, D is what
// changes slowly, and cosine and sigmoid_alpha_bar begin with r in the thousands. Steps of
// r > kLongestStep from there integrate D, linear in lambda = -ln s, exactly, as DPM-Solver++
// does: with h = ln r, D' counts
//   g·(r - 1) = 1 - (1 - 1/r)/h  and  D  (1 - 1/r)/h - 1/r,
// both positive for any h, so that y' is a mean of y, D and D'. For small h that is g = 1/2 too.
constexpr double kLongestStep = 4;   // linear's in 10 of 1000 steps are below 3
constexpr double kDataSpread = 0.5;  // of images in [-1, 1]: sigma_data of Karras et al., table 1

/// g of the step from s to s'.
double share_of_corrector(double from, double to) {
  const double r = from / to, h = std::log(r);
  if (from <= kDataSpread || r <= kLongestStep) return 0.5;
  return (1 - (1 - 1 / r) / h) / (r - 1);
}

// The first of a step's two calls leaves y + (s' - s)·(1 - g)·eps, scaled to x, as history; the
// second adds the rest. At s' = 0 eps' cannot be had: the last step is Euler's.
std::vector<ChainStep> heun_steps(const DiffusionConfig& diffusion, const std::vector<int>& times,
                                  const std::vector<double>& levels, float low, float high) {
  std::vector<ChainStep> steps;
  for (std::size_t k = 0; k < times.size(); ++k) {
    const double ab = levels[k], next = levels[k + 1];
    const bool last = k + 1 == times.size();
    const double from = std::sqrt((1 - ab) / ab), to = std::sqrt((1 - next) / next);
    const double scale = std::sqrt(next), grow = std::sqrt(next / ab), whole = to - from;
    const double g = last ? 0 : share_of_corrector(from, to);
    // With a clipped x0, eps is that of the clipped x0, as Karras et al. derive it from D:
    // eps = (y - x0)/s. Unclipped, both are the network's own.
    const auto mean = [&](double level, double of_eps, double of_xt, SamplerStep& c) {
      const double a = std::sqrt(level), s = std::sqrt(1 - level);
      if (c.clip)
        set_mean(c, {}, -of_eps * a / s, 0, of_xt + of_eps / s);
      else
        set_mean(c, parameterization_of(diffusion.prediction, level), 0, of_eps, of_xt);
    };
    SamplerStep kept = predict_x0(diffusion, ab, low, high), c = kept;
    mean(ab, scale * whole, grow, c);
    mean(ab, scale * ((1 - g) * whole), grow, kept);
    c.keep_x0 = kept.x0, c.keep_xt = kept.xt, c.keep_out = kept.out;
    steps.push_back({times[k], true, c, next});
    if (last) break;
    SamplerStep corrected = predict_x0(diffusion, next, low, high);
    mean(next, scale * (g * whole), 0, corrected);
    corrected.history = 1;
    steps.push_back({times[k + 1], true, corrected, next});
  }
  return steps;
}

}  // namespace haze::model
