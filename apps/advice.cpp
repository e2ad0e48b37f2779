// SPDX-License-Identifier: MIT
#include "apps/advice.h"

#include <cmath>

#include "kernels/base/text.h"
#include "model/schedule.h"
#include "model/trainer.h"

namespace haze::apps {
namespace {

/// x0 = (x - sqrt(1 - ab)·eps)/sqrt(ab): an error of eps counts sqrt((1 - ab)/ab) times in x0.
/// linear and sigmoid with their usual betas end at 157 and 159; diffusers clips lambda, minus the
/// logarithm of that number, at -5.1 for schedules that go on.
constexpr double kMostNoise = 164;  // e^5.1

void add_prediction(const RunConfig& config, Advice& to) {
  const model::DiffusionConfig& d = config.diffusion;
  if (d.prediction != model::Prediction::eps || d.clip_x0) return;
  const double ab = model::make_schedule(d).alpha_bar.back();
  const double factor = std::sqrt((1 - ab) / ab);
  if (factor > kMostNoise)
    to.push_back(
        cat("diffusion.prediction eps with diffusion.clip_x0 false: at the end of this "
            "schedule an error of the network counts ",
            format_number("%.0f", factor),
            " times in the image; prediction v or clip_x0 true avoid that"));
}

/// Part of the average that is still the initial weights after `step` steps. With ema_warmup the
/// average is of the last steps from the start.
double initial_part(const model::TrainConfig& t, double step) {
  if (!t.keeps_ema() || t.ema_warmup) return 0;
  if (t.ema_half_life > 0) return std::exp2(-t.batch_size * step / t.ema_half_life);
  return std::pow(t.ema_decay, step);
}
constexpr double kMostInitial = 0.36788;  // 1/e: after 1/(1 - decay) steps

}  // namespace

Advice advice_for_training(const RunConfig& config) {
  Advice advice;
  add_prediction(config, advice);
  const model::TrainConfig& t = config.train;
  if (const double part = initial_part(t, t.steps); part > kMostInitial) {
    const bool by_decay = t.ema_half_life == 0;
    advice.push_back(cat(by_decay ? "train.ema_decay " : "train.ema_half_life ",
                         format_number("%.8g", by_decay ? t.ema_decay : t.ema_half_life),
                         " reaches back further than ", t.steps,
                         " steps: ", format_number("%.0f", 100 * part),
                         "% of the averaged weights will be the initial ones; train.ema_warmup "
                         "true, or less of it"));
  }
  return advice;
}

Advice advice_for_resuming(const RunConfig& before, const RunConfig& now, std::uint64_t step) {
  if (now.train.lr_decay == model::LrDecay::none || before.train.steps == now.train.steps ||
      step == 0)
    return {};
  const auto rate = [](const RunConfig& c, std::uint64_t at) {
    return model::learning_rate_at(c.train, std::uint32_t(at));
  };
  const double was = rate(before, step - 1), is = rate(now, step);
  if (is == was) return {};
  return {cat("train.lr_decay cosine over ", now.train.steps, " steps, not ", before.train.steps,
              ": the learning rate goes from ", format_number("%.3g", was), " to ",
              format_number("%.3g", is), " at step ", step)};
}

Advice advice_for_sampling(const RunConfig& config, std::uint64_t step, bool ema) {
  Advice advice;
  add_prediction(config, advice);
  if (const double part = ema ? initial_part(config.train, double(step)) : 0; part > kMostInitial)
    advice.push_back(cat("after ", step, " steps ", format_number("%.0f", 100 * part),
                         "% of the averaged weights are the initial ones; --weights raw takes "
                         "the last ones, train.ema_warmup true averages less at first"));
  return advice;
}

}  // namespace haze::apps
