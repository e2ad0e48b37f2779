// SPDX-License-Identifier: MIT
// schedule.h — the noise schedule: beta_t and what follows from it, in double.
#pragma once
#include <vector>

#include "model/config.h"

namespace haze::model {

/// Tables over t = 0 .. T-1 (the paper's t is ours + 1). Ho et al. 2020, arXiv 2006.11239, eq. 4-7.
struct Schedule {
  std::vector<double> beta, alpha, alpha_bar;
  int steps() const { return int(beta.size()); }
  /// alpha_bar of the step before: 1 at t = 0 (and for any t < 0).
  double alpha_bar_at(int t) const { return t < 0 ? 1.0 : alpha_bar[std::size_t(t)]; }
};

/// linear: beta_start .. beta_end evenly (DDPM). cosine: Nichol & Dhariwal 2021, eq. 17, s = 0.008,
/// beta capped at 0.999. sigmoid: beta = sigmoid(-6 .. 6) scaled to [beta_start, beta_end]
/// (GeoDiff; diffusers' "sigmoid"). sigmoid_alpha_bar: alpha_bar itself falls along a sigmoid from
/// -3 to 3, beta capped at 0.999 (Jabri et al. 2022, arXiv:2212.11972; lucidrains' "sigmoid").
/// Throws InputError on a range that is not 0 < beta < 1.
Schedule make_schedule(const DiffusionConfig& config);

/// The same betas with alpha and alpha_bar as frameworks compute them
/// that hold them in float32: 1 - alpha_bar at t = 0 is then off by some
/// 1e-4 of itself, which verify() must share with what they recorded.
Schedule in_single_precision(const Schedule& schedule);

}  // namespace haze::model
