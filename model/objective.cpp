// SPDX-License-Identifier: MIT
#include "model/objective.h"

#include <algorithm>
#include <numbers>

#include "engine/device_tensor.h"
#include "model/bound_step.h"
#include "model/parameterization.h"

namespace haze::model {

using engine::Tensor;

namespace {

Tensor table(engine::Context& context, const std::vector<double>& values) {
  const std::vector<float> f(values.begin(), values.end());
  return engine::upload(context, {int(f.size())}, f, engine::Lifetime::run);
}

}  // namespace

Objective::Objective(engine::Context& context, const DiffusionConfig& diffusion,
                     const Schedule& schedule, const TrainConfig& train, int channels)
    : channels_(diffusion.variance == Variance::learned ? channels : 0),
      learned_(diffusion.variance == Variance::learned) {
  std::vector<double> from_noise, from_x0, a, b;
  for (const double ab : schedule.alpha_bar) {
    const TrainingTarget target = target_of(diffusion.prediction, ab);
    from_noise.push_back(target.from_noise);
    from_x0.push_back(target.from_x0);
    const Parameterization r = parameterization_of(diffusion.prediction, ab);
    a.push_back(r.x0_xt);
    b.push_back(r.x0_out);
    base_weight_.push_back(train.loss_weight == LossWeight::min_snr
                               ? min_snr_weight(diffusion.prediction, ab, train.min_snr_gamma)
                               : 1);
  }
  if (diffusion.prediction != Prediction::eps) {
    from_noise_ = table(context, from_noise);
    from_x0_ = table(context, from_x0);
  }
  if (train.loss_weight != LossWeight::none || train.timesteps == Timesteps::importance)
    weight_ = table(context, base_weight_);
  x0_tables_ = {table(context, a), table(context, b)};
  if (!learned_) return;
  std::vector<engine::BoundStep> steps;
  for (int t = 0; t < schedule.steps(); ++t) {
    const BoundStep s = bound_step(schedule, diffusion, t);
    steps.push_back({float(s.x0_xt), float(s.x0_out), float(s.posterior_x0), float(s.posterior_log),
                     float(s.log_least), float(s.log_most)});
  }
  bound_table_ = engine::bound_table(context, steps);
  bound_scale_ = train.vlb_weight * schedule.steps() / std::numbers::ln2;
  bound_weight_ = table(context, std::vector<double>(steps.size(), bound_scale_));
}

void Objective::reweight(engine::Context& context, std::span<const double> factors) {
  std::vector<float> weight, of_bound;
  for (std::size_t t = 0; t < factors.size(); ++t) {
    weight.push_back(float(base_weight_[t] * factors[t]));
    of_bound.push_back(float(bound_scale_ * factors[t]));
  }
  engine::overwrite(context, weight_, weight);
  if (learned_) engine::overwrite(context, bound_weight_, of_bound);
}

engine::Var Objective::operator()(engine::Tape& tape, engine::Var out, const NoisedBatch& batch,
                                  float share, const Tensor& item_loss) const {
  const engine::Target target{.noise = batch.noise,
                              .x0 = from_x0_ ? batch.x0 : Tensor{},
                              .t = from_x0_ || weight_ ? batch.t : Tensor{},
                              .from_noise = from_noise_,
                              .from_x0 = from_x0_,
                              .weight = weight_,
                              .channels = channels_};
  const engine::Var simple = engine::mse_loss(tape, out, target, share, item_loss);
  if (!learned_) return simple;
  const engine::BoundBatch bound{.x0 = batch.x0,
                                 .x_t = batch.x_t,
                                 .t = batch.t,
                                 .table = bound_table_,
                                 .weight = bound_weight_,
                                 .range = {false, batch.zero_to_one ? 0.0f : -1.0f, 1}};
  return engine::add(tape, simple, engine::variational_bound(tape, out, bound, share));
}

Tensor Objective::predicted_x0(engine::Context& context, const NoisedBatch& batch,
                               const Tensor& out) const {
  // a[t]·x_t + b[t]·out has the form of the forward process, with out in the place of the noise.
  return engine::q_sample(context, engine::to_f32(context, batch.x_t), batch.t, x0_tables_,
                          {engine::to_f32(context, out), {}, 0});
}

}  // namespace haze::model
