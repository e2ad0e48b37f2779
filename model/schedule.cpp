// SPDX-License-Identifier: MIT
#include "model/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/base/check.h"

namespace haze::model {

Schedule make_schedule(const DiffusionConfig& config) {
  const int T = config.steps;
  if (T < 1) throw InputError(cat("diffusion.steps: ", T, "; at least 1"));
  const double lo = config.beta_start, hi = config.beta_end;
  const bool ranged =
      config.schedule == ScheduleKind::linear || config.schedule == ScheduleKind::sigmoid;
  if (ranged && !(lo > 0 && lo <= hi && hi < 1))
    throw InputError(
        cat("diffusion.beta_start, beta_end: ", lo, ", ", hi, "; 0 < beta_start <= beta_end < 1"));
  const auto along = [&](int t) { return T == 1 ? 0.0 : double(t) / (T - 1); };
  const auto cosine_bar = [&](double t) {
    const double c = std::cos((t / T + 0.008) / 1.008 * std::numbers::pi / 2);
    return c * c;
  };
  const auto sigmoid_bar = [&](double t) {
    const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    const double first = sigmoid(-3), last = sigmoid(3);
    return (last - sigmoid(6 * t / T - 3)) / (last - first);
  };
  Schedule s;
  double bar = 1;
  for (int t = 0; t < T; ++t) {
    double beta = 0;
    switch (config.schedule) {
      case ScheduleKind::linear:
        beta = lo + (hi - lo) * along(t);
        break;
      case ScheduleKind::cosine:
        beta = std::min(1 - cosine_bar(t + 1) / cosine_bar(t), 0.999);
        break;
      case ScheduleKind::sigmoid:
        beta = lo + (hi - lo) / (1 + std::exp(6 - 12 * along(t)));
        break;
      case ScheduleKind::sigmoid_alpha_bar:
        beta = std::min(1 - sigmoid_bar(t + 1) / sigmoid_bar(t), 0.999);
        break;
    }
    bar *= 1 - beta;
    s.beta.push_back(beta);
    s.alpha.push_back(1 - beta);
    s.alpha_bar.push_back(bar);
  }
  return s;
}

Schedule in_single_precision(const Schedule& schedule) {
  Schedule s;
  float bar = 1;
  for (const double beta : schedule.beta) {
    const float alpha = 1 - float(beta);
    bar *= alpha;
    s.beta.push_back(double(float(beta)));
    s.alpha.push_back(double(alpha));
    s.alpha_bar.push_back(double(bar));
  }
  return s;
}

}  // namespace haze::model
