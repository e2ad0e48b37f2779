// SPDX-License-Identifier: MIT
#include "model/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/adam.h"
#include "engine/random.h"

namespace haze::model {

using engine::Shape;
using engine::Tensor;

namespace {

/// sqrt(alpha_bar) and sqrt(1 - alpha_bar) on the device.
engine::NoiseTables noise_tables(engine::Context& context, const Schedule& schedule) {
  std::vector<float> signal, noise;
  for (const double ab : schedule.alpha_bar) {
    signal.push_back(float(std::sqrt(ab)));
    noise.push_back(float(std::sqrt(1 - ab)));
  }
  const Shape shape{int(signal.size())};
  using engine::Lifetime;
  return {engine::upload(context, shape, signal, Lifetime::run),
          engine::upload(context, shape, noise, Lifetime::run)};
}

engine::TimeDraw draw_of(Timesteps timesteps) {
  return timesteps == Timesteps::importance   ? engine::TimeDraw::given
         : timesteps == Timesteps::antithetic ? engine::TimeDraw::antithetic
                                              : engine::TimeDraw::uniform;
}

}  // namespace

Trainer::Trainer(engine::Context& context, Network& network, const DiffusionConfig& diffusion,
                 const Schedule& schedule, const TrainConfig& train, std::uint64_t seed)
    : context_(context),
      network_(network),
      train_(train),
      seed_(seed),
      tables_(noise_tables(context, schedule)),
      objective_(context, diffusion, schedule, train, network.config().image_channels),
      memory_(context, std::max(train.accumulate, 1)),
      guard_(train.spike_factor) {
  HAZE_CHECK(train.accumulate >= 1, "accumulate ", train.accumulate);
  if (train.timesteps == Timesteps::importance) importance_.emplace(schedule.steps());
}

double learning_rate_at(const TrainConfig& train, std::uint32_t step) {
  const double done = double(step) - train.warmup_steps;
  if (done < 0) return train.learning_rate * (double(step) + 1) / train.warmup_steps;
  if (train.lr_decay == LrDecay::none) return train.learning_rate;
  const double part = std::min(done / std::max(train.steps - train.warmup_steps, 1), 1.0);
  return train.learning_rate * (1 + std::cos(std::numbers::pi * part)) / 2;
}

double Trainer::learning_rate(std::uint32_t step) const { return learning_rate_at(train_, step); }

double Trainer::ema_decay(std::uint32_t step, int batch) const {
  if (train_.ema_half_life > 0) {
    double half_life = train_.ema_half_life;
    if (train_.ema_warmup) half_life = std::min(half_life, 0.05 * batch * (double(step) + 1));
    return std::exp2(-batch / half_life);
  }
  if (!train_.ema_warmup) return train_.ema_decay;
  return std::min(train_.ema_decay, (1 + double(step)) / (10 + double(step)));
}

/// Half of the steps, as a function of seed and step (Chen et al. 2022, arXiv:2208.04202, alg. 1,
/// decides per batch too).
bool Trainer::self_conditions(std::uint32_t step) const {
  if (!network_.config().self_condition) return false;
  return random4({seed_, engine::streams::kSelfCondition, step}, 0, 0).v[0] >> 31;
}

/// The network's output. A self-conditioned network sees beside x_t zeros or, if this step
/// self-conditions, its own prediction of x0 made without a gradient.
engine::Var Trainer::predict(engine::Tape& tape, const NoisedBatch& part,
                             const TrainingRandom& random, bool self_conditions) {
  if (!network_.config().self_condition)
    return network_.forward(tape, {tape.leaf(part.x_t), part.t, part.labels}, &random);
  const auto beside = [&](engine::Tape& on, const Tensor& x0) {
    return engine::concat_channels(on, on.leaf(part.x_t), on.leaf(x0));
  };
  Tensor x0 = engine::zeros(context_, part.x_t.shape, context_.activations);
  if (self_conditions) {
    engine::Tape first(context_, false);
    const engine::Var out =
        network_.forward(first, {beside(first, x0), part.t, part.labels}, nullptr);
    x0 = objective_.predicted_x0(context_, part, first.value(out));
  }
  return network_.forward(tape, {beside(tape, x0), part.t, part.labels}, &random);
}

/// Ho et al. 2020, algorithm 1, on the device: noise, predict, take the gradient, update. The batch
/// is computed in train.accumulate parts, whose gradients add up to that of the whole; every draw is
/// a function of the image's index in the batch, so the parts change rounding only.
void Trainer::one_step(int batch, const Noising& noised, bool self_conditions, Update update) {
  const int parts = train_.accumulate;
  engine::Parameters& parameters = network_.parameters();
  parameters.begin_gradients();
  for (int k = 0, first = 0, n = 0; k < parts; ++k, first += n) {
    n = batch / parts + (k < batch % parts);
    engine::Tape tape(context_);
    const NoisedBatch part = noised(first, n);
    const TrainingRandom dropout{seed_, late_at(memory_.step()), std::uint32_t(first)};
    const engine::Var out = predict(tape, part, dropout, self_conditions);
    const Tensor items = importance_ ? memory_.item_loss(first, n) : Tensor{};
    const engine::Var loss = objective_(tape, out, part, float(n) / float(batch), items);
    tape.release(out);
    engine::copy(context_, memory_.loss(k), tape.value(loss));
    tape.backward(loss);
  }
  if (update == Update::no) return parameters.finish_gradients();
  engine::adam_step(context_, parameters, late_at(memory_.adam()), memory_.losses(),
                    memory_.update());
}

float Trainer::mean_loss(const std::vector<float>& results, int batch) const {
  const int parts = train_.accumulate;
  double sum = 0;
  for (int k = 0; k < parts; ++k)
    sum += double(results[std::size_t(k)]) * (batch / parts + (k < batch % parts));
  return float(sum / batch);
}

engine::AdamStep Trainer::adam(std::uint32_t step, int batch) const {
  return engine::adam_coefficients({.learning_rate = learning_rate(step),
                                    .beta1 = train_.adam_beta1,
                                    .beta2 = train_.adam_beta2,
                                    .eps = train_.adam_eps,
                                    .weight_decay = train_.weight_decay,
                                    .grad_clip = train_.grad_clip,
                                    .ema_decay = ema_decay(step, batch),
                                    .skip_above = guard_.limit()},
                                   updates_before(step));
}

/// Skipped steps are not among them: the moments do not know of those.
std::uint32_t Trainer::updates_before(std::uint32_t step) const {
  return step - std::uint32_t(std::min<std::uint64_t>(guard_.skipped(), step));
}

/// From the data set: gathered, flipped, scaled and noised in one pass.
NoisedBatch Trainer::noised_images(int first, int n) {
  engine::ImageNoising options{.seed = seed_,
                               .step = late_at(memory_.step()),
                               .first_item = std::uint32_t(first),
                               .zero_to_one = data_->zero_to_one(),
                               .flip = train_.flip,
                               .times = draw_of(train_.timesteps),
                               .wants_x0 = objective_.wants_x0()};
  if (importance_) options.t = memory_.times(first, n);
  const Tensor index = data_->index(first, n);
  engine::NoisedImages noised =
      engine::q_sample_images(context_, data_->images(), index, tables_, options);
  NoisedBatch part{std::move(noised.x_t),
                   std::move(noised.t),
                   engine::training_noise(options),
                   std::move(noised.x0),
                   {},
                   data_->zero_to_one()};
  if (const int classes = network_.config().num_classes)
    part.labels = engine::batch_labels(context_, data_->labels(), index,
                                       {.probability = float(train_.label_dropout),
                                        .none = classes,
                                        .seed = seed_,
                                        .step = late_at(memory_.step()),
                                        .first_item = std::uint32_t(first)});
  return part;
}

void Trainer::use(const ImageSet& set) {
  if (network_.config().num_classes > 0 && set.labels.empty())
    throw InputError(
        cat("model.num_classes: ", network_.config().num_classes, "; the data set has no classes"));
  set_ = set;
  data_.reset();
}

/// The data set for batches of this size: at new addresses, which voids what was captured.
void Trainer::bind(int batch) {
  data_.reset();  // first given back
  data_.emplace(context_, set_, batch);
  memory_.resize(context_, batch);
  for (engine::Replay& replay : replay_) replay.reset();
}

StepResult Trainer::step(std::uint32_t step, std::span<const std::int32_t> index,
                         std::span<const std::int32_t> next) {
  const int n = int(index.size());
  check_batch(n);
  HAZE_CHECK(set_.image_size() > 0, "no data set; Trainer::use comes first");
  if (!data_ || data_->batch() != n) bind(n);
  data_->check(index);
  data_->check(next);
  std::vector<std::int32_t> times;
  if (importance_) {
    times = importance_->draw(seed_, step, n);
    objective_.reweight(context_, importance_->weights());
  }
  memory_.set(context_, step, adam(step, n), times);
  data_->select(context_, index);
  const bool twice = self_conditions(step);
  replay_[twice].run(context_, [&] {
    one_step(
        n, [this](int first, int count) { return noised_images(first, count); }, twice,
        Update::yes);
  });
  data_->send_ahead(next);
  const StepResult done = result(step, n);
  if (importance_) importance_->record(times, memory_.item_losses(context_));
  return done;
}

StepResult Trainer::step(std::uint32_t step, int n, const Noising& noised) {
  check_batch(n);
  memory_.set(context_, step, adam(step, n));
  one_step(n, noised, self_conditions(step), Update::yes);
  return result(step, n);
}

float Trainer::loss_and_gradients(int n, const Noising& noised) {
  check_batch(n);
  memory_.set(context_, 0, adam(0, n));
  one_step(n, noised, self_conditions(0), Update::no);
  return mean_loss(memory_.results(context_), n);
}

void Trainer::check_batch(int n) const {
  if (n < train_.accumulate)
    throw InputError(cat("train.accumulate: ", train_.accumulate, "; at most the batch size, ", n));
}

StepResult Trainer::result(std::uint32_t step, int batch) {
  const std::vector<float> results = memory_.results(context_);
  context_.arena.consolidate();
  const float loss = mean_loss(results, batch), norm = results[results.size() - 2];
  const double limit = guard_.limit();  // as this step had it
  const Skip skip = guard_.record(loss, norm, results.back() != 0);
  return {loss, norm, learning_rate(step), skip, limit};
}

std::vector<engine::ParamId> Trainer::nonfinite_gradients() const {
  return engine::nonfinite_gradients(network_.parameters());
}

StateDict Trainer::state() const {
  StateDict state = guard_.state();
  if (importance_) state.merge(importance_->state());
  return state;
}

void Trainer::restore(const StateDict& state) {
  guard_.restore(state);
  if (importance_) importance_->restore(state);
}

}  // namespace haze::model
