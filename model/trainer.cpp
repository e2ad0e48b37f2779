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
      memory_(context, std::max(train.accumulate, 1)) {
  HAZE_CHECK(train.accumulate >= 1, "accumulate ", train.accumulate);
  if (train.timesteps == Timesteps::importance) importance_.emplace(schedule.steps());
}

double Trainer::learning_rate(std::uint32_t step) const {
  const double done = double(step) - train_.warmup_steps;
  if (done < 0) return train_.learning_rate * (double(step) + 1) / train_.warmup_steps;
  if (train_.lr_decay == LrDecay::none) return train_.learning_rate;
  const double part = std::min(done / std::max(train_.steps - train_.warmup_steps, 1), 1.0);
  return train_.learning_rate * (1 + std::cos(std::numbers::pi * part)) / 2;
}

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

/// The parts' losses in memory_ and, in the parameters, the gradient of the whole batch. Every draw
/// is a function of the image's index in the whole batch, so the parts change rounding only.
void Trainer::gradients(int batch, const TrainingRandom& random, const Prepare& prepare,
                        bool self_conditions) {
  const int parts = train_.accumulate;
  if (batch < parts)
    throw InputError(cat("train.accumulate: ", parts, "; at most the batch size, ", batch));
  network_.parameters().begin_gradients();
  for (int k = 0, first = 0; k < parts; ++k) {
    const int n = batch / parts + (k < batch % parts);
    engine::Tape tape(context_);
    const NoisedBatch part = prepare(first, n);
    TrainingRandom of_part = random;
    of_part.first_item = std::uint32_t(first);
    const engine::Var out = predict(tape, part, of_part, self_conditions);
    const float share = float(n) / float(batch);
    const Tensor items = importance_ ? memory_.item_loss(first, n) : Tensor{};
    const engine::Var loss = objective_(tape, out, part, share, items);
    tape.release(out);
    engine::copy(context_, memory_.loss(k), tape.value(loss));
    tape.backward(loss);
    first += n;
  }
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
                                    .ema_decay = ema_decay(step, batch)},
                                   step);
}

Trainer::Prepare Trainer::images(const ImageBatch& batch) {
  return [this, zero_to_one = batch.zero_to_one](int first, int n) -> NoisedBatch {
    engine::ImageNoising options{.seed = seed_,
                                 .first_item = std::uint32_t(first),
                                 .zero_to_one = zero_to_one,
                                 .flip = train_.flip,
                                 .step_at = memory_.step(),
                                 .times = draw_of(train_.timesteps),
                                 .wants_x0 = objective_.wants_x0()};
    if (importance_) options.t = memory_.times(first, n);
    const Tensor index = memory_.index(first, n);
    engine::NoisedImages noised =
        engine::q_sample_images(context_, memory_.images(), index, tables_, options);
    NoisedBatch part{std::move(noised.x_t),
                     std::move(noised.t),
                     engine::training_noise(options),
                     std::move(noised.x0),
                     {},
                     zero_to_one};
    if (const int classes = network_.config().num_classes)
      part.labels = engine::batch_labels(context_, memory_.labels(), index,
                                         {.probability = float(train_.label_dropout),
                                          .none = classes,
                                          .seed = seed_,
                                          .first_item = std::uint32_t(first),
                                          .step_at = memory_.step()});
    return part;
  };
}

StepResult Trainer::step(std::uint32_t step, const ImageBatch& batch) {
  const int n = int(batch.index.size());
  if (network_.config().num_classes > 0 && batch.labels.empty())
    throw InputError(
        cat("model.num_classes: ", network_.config().num_classes, "; the data set has no classes"));
  std::vector<std::int32_t> times;
  if (importance_) {
    times = importance_->draw(seed_, step, n);
    objective_.reweight(context_, importance_->weights());
  }
  if (memory_.fill(context_, step, adam(step, n), batch, times) || n != replayed_batch_)
    for (engine::Replay& replay : replay_) replay.reset();
  replayed_batch_ = n;
  const bool twice = self_conditions(step);
  replay_[twice].run(context_, [&] {
    gradients(n, {seed_, 0, 0, memory_.step()}, images(batch), twice);
    engine::adam_step(context_, network_.parameters(), memory_.adam(), memory_.grad_norm());
  });
  memory_.send_ahead(batch);
  const std::vector<float> results = memory_.results(context_);
  if (importance_) importance_->record(times, memory_.item_losses(context_));
  context_.arena.consolidate();
  return {mean_loss(results, n), results.back(), learning_rate(step)};
}

StateDict Trainer::state() const { return importance_ ? importance_->state() : StateDict{}; }

void Trainer::restore(const StateDict& state) {
  if (importance_) importance_->restore(state);
}

Trainer::Prepare Trainer::given(const GivenBatch& batch) {
  const std::size_t image = Shape({batch.height, batch.width, batch.channels}).size();
  HAZE_CHECK(batch.n >= 1 && batch.x0.size() == std::size_t(batch.n) * image &&
                 batch.noise.size() == batch.x0.size() && batch.t.size() == std::size_t(batch.n),
             batch.n, " images of ", image, " values: x0 ", batch.x0.size(), ", noise ",
             batch.noise.size(), ", t ", batch.t.size());
  return [this, batch, image](int first, int n) -> NoisedBatch {
    const std::size_t from = std::size_t(first) * image, count = std::size_t(n) * image;
    const Shape shape{n, batch.height, batch.width, batch.channels};
    const Tensor x0 = engine::upload(context_, shape, batch.x0.subspan(from, count));
    const engine::Noise noise{engine::upload(context_, shape, batch.noise.subspan(from, count)),
                              {},
                              std::uint32_t(first)};
    const Tensor t =
        engine::upload(context_, {n}, batch.t.subspan(std::size_t(first), std::size_t(n)));
    return {engine::q_sample(context_, x0, t, tables_, noise), t, noise, x0, {}};
  };
}

StepResult Trainer::step(std::uint32_t step, const GivenBatch& batch) {
  gradients(batch.n, {seed_, step, 0}, given(batch), self_conditions(step));
  memory_.fill(context_, step, adam(step, batch.n));
  engine::adam_step(context_, network_.parameters(), memory_.adam(), memory_.grad_norm());
  const std::vector<float> results = memory_.results(context_);
  context_.arena.consolidate();
  return {mean_loss(results, batch.n), results.back(), learning_rate(step)};
}

float Trainer::loss_and_gradients(const GivenBatch& batch) {
  gradients(batch.n, {seed_, 0, 0}, given(batch), self_conditions(0));
  network_.parameters().finish_gradients();
  return mean_loss(memory_.results(context_), batch.n);
}

}  // namespace haze::model
