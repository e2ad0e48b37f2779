// SPDX-License-Identifier: MIT
#include "model/chain.h"

#include <algorithm>
#include <cmath>

#include "model/solvers.h"

namespace haze::model {

std::vector<int> sampling_times(int T, int steps, Spacing spacing, SamplerKind kind) {
  if (steps < 1 || steps > T)
    throw InputError(cat("steps: ", steps, "; 1 to ", T, ", the steps of the noise schedule"));
  if (spacing == Spacing::leading && steps == 1 && T > 1 && kind != SamplerKind::dpmpp)
    throw InputError(cat("steps: 1; with the leading spacing that is time 0 of ", T,
                         ", where an image is expected, not noise: at least 2, or trailing"));
  std::vector<int> times;
  const bool beyond = kind == SamplerKind::dpmpp && steps < T;  // S+1 points, the last left out
  for (int k = 0; k < steps; ++k) {
    double t = T - 1;
    if (spacing == Spacing::leading)
      t = beyond ? double(T / (steps + 1)) * (steps - k) : double(T / steps) * (steps - 1 - k);
    else if (spacing == Spacing::trailing)
      t = std::rint(T - double(T) * k / steps) - 1;
    else if (beyond)
      t = std::rint(double(T - 1) * (steps - k) / steps);
    else if (steps > 1)
      t = std::round(double(T - 1) * (steps - 1 - k) / (steps - 1));
    times.push_back(int(t));
  }
  return times;
}

namespace {

void check(const ChainOptions& o) {
  const bool solver = o.kind == SamplerKind::dpmpp || o.kind == SamplerKind::heun;
  if (!(o.eta >= 0 && o.eta <= 1)) throw InputError(cat("eta: ", o.eta, "; in [0, 1]"));
  if (o.eta != 0 && o.kind != SamplerKind::ddim)
    throw InputError(cat("eta: ", o.eta, "; it belongs to the sampler ddim"));
  if (!(o.strength > 0 && o.strength <= 1))
    throw InputError(cat("strength: ", o.strength, "; above 0, at most 1"));
  if (o.jump_length < 0 || o.jump_repeats < 1)
    throw InputError(cat("jump: ", o.jump_length, " steps, ", o.jump_repeats,
                         " times; at least 0 steps, at least once"));
  if (solver && o.jump_length > 0 && o.jump_repeats > 1)
    throw InputError(
        cat("jump: ", o.jump_length, "; a jump back needs a sampler without memory, ddpm or ddim"));
}

/// The times that are visited, the last ones only if the start is an image.
std::vector<int> times_of(const Schedule& schedule, const ChainOptions& o) {
  const int T = schedule.steps();
  auto times = sampling_times(T, o.steps == 0 ? T : o.steps, o.spacing, o.kind);
  if (o.strength < 1) {
    const double remaining = std::floor(o.strength * double(times.size()) + 1e-9);
    const auto n = std::ptrdiff_t(std::max(1.0, remaining));
    times.erase(times.begin(), times.end() - n);
  }
  return times;
}

/// The noise that leads from level ab_from back to the noisier ab_to.
void add_jump_back(std::vector<ChainStep>& steps, double ab_from, double ab_to, int t) {
  const double keep = ab_to / ab_from;
  ChainStep back{.t = t, .calls = false, .c = {}, .alpha_bar_after = ab_to};
  back.c.xt = float(std::sqrt(keep));
  back.c.sigma = float(std::sqrt(1 - keep));
  steps.push_back(back);
}

}  // namespace

Chain make_chain(const DiffusionConfig& diffusion, const ChainOptions& o) {
  check(o);
  const Schedule schedule = make_schedule(diffusion);
  const std::vector<int> times = times_of(schedule, o);
  std::vector<double> levels;
  for (const int t : times) levels.push_back(schedule.alpha_bar_at(t));
  levels.push_back(1);
  const double start_std = diffusion.start == Start::schedule ? std::sqrt(1 - levels[0]) : 1;
  if (o.kind == SamplerKind::dpmpp)
    return {dpmpp_steps(diffusion, times, levels, o.low, o.high), levels[0], true, start_std};
  if (o.kind == SamplerKind::heun)
    return {heun_steps(diffusion, times, levels, o.low, o.high), levels[0], true, start_std};
  Chain chain{{}, levels[0], false, start_std};
  const std::size_t n = times.size(), jump = std::size_t(o.jump_length);
  const auto add = [&](std::size_t k) {
    const int t = times[k], previous = k + 1 < n ? times[k + 1] : -1;
    chain.steps.push_back(
        {t, true,
         o.kind == SamplerKind::ddpm
             ? ddpm_step(schedule, diffusion, t, previous, o.low, o.high)
             : ddim_step(schedule, diffusion, o.eta, t, previous, o.low, o.high, o.rederive_eps),
         levels[k + 1]});
  };
  if (jump == 0 || o.jump_repeats == 1) {
    for (std::size_t k = 0; k < n; ++k) add(k);
    return chain;
  }
  for (std::size_t first = 0; first < n; first += jump) {
    const std::size_t last = std::min(first + jump, n);
    for (int round = 0; round < o.jump_repeats; ++round) {
      if (round > 0) add_jump_back(chain.steps, levels[last], levels[first], times[first]);
      for (std::size_t k = first; k < last; ++k) add(k);
    }
  }
  return chain;
}

Chain make_inversion(const DiffusionConfig& diffusion, const ChainOptions& o) {
  check(o);
  const Schedule schedule = make_schedule(diffusion);
  const std::vector<int> times = times_of(schedule, o);
  Chain chain{{}, schedule.alpha_bar_at(times.back()), false};
  DiffusionConfig unclipped = diffusion;  // a clipped x0 could not be found again
  unclipped.clip_x0 = false;
  for (std::size_t k = times.size() - 1; k > 0; --k) {
    const double here = schedule.alpha_bar_at(times[k]), next = schedule.alpha_bar_at(times[k - 1]);
    ChainStep step{
        .t = times[k], .c = predict_x0(unclipped, here, o.low, o.high), .alpha_bar_after = next};
    set_mean(step.c, parameterization_of(diffusion.prediction, here), std::sqrt(next),
             std::sqrt(1 - next), 0);
    chain.steps.push_back(step);
  }
  return chain;
}

}  // namespace haze::model
