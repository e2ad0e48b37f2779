#include "model/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/adam.h"

namespace haze::model {

using engine::Shape;
using engine::Tensor;

/// A part of the batch, noised: what the network sees and what it must predict.
struct Trainer::Noised {
  Tensor x_t, t;
  engine::Noise target;
};

Trainer::Trainer(engine::Context& context, Network& network, const Schedule& schedule,
                 const TrainConfig& train, std::uint64_t seed)
    : context_(context),
      network_(network),
      train_(train),
      seed_(seed),
      memory_(context, std::max(train.accumulate, 1)) {
  HAZE_CHECK(train.accumulate >= 1, "accumulate ", train.accumulate);
  std::vector<float> signal, noise;
  for (const double ab : schedule.alpha_bar) {
    signal.push_back(float(std::sqrt(ab)));
    noise.push_back(float(std::sqrt(1 - ab)));
  }
  const Shape shape{int(signal.size())};
  using engine::Lifetime;
  tables_ = {engine::to_device(context, shape, std::span<const float>(signal), Lifetime::run),
             engine::to_device(context, shape, std::span<const float>(noise), Lifetime::run)};
}

double Trainer::learning_rate(std::uint32_t step) const {
  const double done = double(step) - train_.warmup_steps;
  if (done < 0) return train_.learning_rate * (double(step) + 1) / train_.warmup_steps;
  if (train_.lr_decay == LrDecay::none) return train_.learning_rate;
  const double part = std::min(done / std::max(train_.steps - train_.warmup_steps, 1), 1.0);
  return train_.learning_rate * (1 + std::cos(std::numbers::pi * part)) / 2;
}

/// The parts' losses in memory_ and, in the parameters, the gradient of the whole batch. Every draw
/// is a function of the image's index in the whole batch, so the parts change rounding only.
void Trainer::gradients(int batch, const TrainingRandom& random, const Prepare& prepare) {
  const int parts = train_.accumulate;
  if (batch < parts)
    throw InputError(cat("train.accumulate: ", parts, "; at most the batch size, ", batch));
  network_.parameters().begin_gradients();
  for (int k = 0, first = 0; k < parts; ++k) {
    const int n = batch / parts + (k < batch % parts);
    engine::Tape tape(context_);
    Noised part = prepare(first, n);
    TrainingRandom of_part = random;
    of_part.first_item = std::uint32_t(first);
    const engine::Var x = tape.leaf(std::move(part.x_t));
    const engine::Var eps = network_.forward(tape, {x, part.t, {}}, &of_part);
    const float share = float(n) / float(batch);
    const engine::Var loss = engine::mse_loss(tape, eps, {part.target}, share);
    tape.release(eps);
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

engine::AdamStep Trainer::adam(std::uint32_t step) const {
  return engine::adam_coefficients({.learning_rate = learning_rate(step),
                                    .beta1 = train_.adam_beta1,
                                    .beta2 = train_.adam_beta2,
                                    .eps = train_.adam_eps,
                                    .weight_decay = train_.weight_decay,
                                    .grad_clip = train_.grad_clip,
                                    .ema_decay = train_.ema_decay},
                                   step);
}

Trainer::Prepare Trainer::images(const ImageBatch& batch) {
  return [this, zero_to_one = batch.zero_to_one](int first, int n) -> Noised {
    const engine::ImageNoising options{seed_,       0,           std::uint32_t(first),
                                       zero_to_one, train_.flip, memory_.step()};
    engine::NoisedImages noised = engine::q_sample_images(
        context_, memory_.images(), memory_.index(first, n), tables_, options);
    return {std::move(noised.x_t), std::move(noised.t), engine::training_noise(options)};
  };
}

StepResult Trainer::step(std::uint32_t step, const ImageBatch& batch) {
  const int n = int(batch.index.size());
  if (memory_.fill(context_, step, adam(step), batch) || n != replayed_batch_) replay_.reset();
  replayed_batch_ = n;
  replay_.run(context_, [&] {
    gradients(n, {seed_, 0, 0, memory_.step()}, images(batch));
    engine::adam_step(context_, network_.parameters(), memory_.adam(), memory_.grad_norm());
  });
  const std::vector<float> results = memory_.results(context_);
  context_.arena.consolidate();
  return {mean_loss(results, n), results.back(), learning_rate(step)};
}

Trainer::Prepare Trainer::given(const GivenBatch& batch) {
  const std::size_t image = Shape({batch.height, batch.width, batch.channels}).size();
  HAZE_CHECK(batch.n >= 1 && batch.x0.size() == std::size_t(batch.n) * image &&
                 batch.noise.size() == batch.x0.size() && batch.t.size() == std::size_t(batch.n),
             batch.n, " images of ", image, " values: x0 ", batch.x0.size(), ", noise ",
             batch.noise.size(), ", t ", batch.t.size());
  return [this, batch, image](int first, int n) -> Noised {
    const std::size_t from = std::size_t(first) * image, count = std::size_t(n) * image;
    const Shape shape{n, batch.height, batch.width, batch.channels};
    const Tensor x0 = engine::to_device(context_, shape, batch.x0.subspan(from, count));
    const engine::Noise noise{engine::to_device(context_, shape, batch.noise.subspan(from, count)),
                              {},
                              std::uint32_t(first)};
    const Tensor t =
        engine::to_device(context_, {n}, batch.t.subspan(std::size_t(first), std::size_t(n)));
    return {engine::q_sample(context_, x0, t, tables_, noise), t, noise};
  };
}

StepResult Trainer::step(std::uint32_t step, const GivenBatch& batch) {
  gradients(batch.n, {seed_, step, 0}, given(batch));
  memory_.fill(context_, step, adam(step));
  engine::adam_step(context_, network_.parameters(), memory_.adam(), memory_.grad_norm());
  const std::vector<float> results = memory_.results(context_);
  context_.arena.consolidate();
  return {mean_loss(results, batch.n), results.back(), learning_rate(step)};
}

float Trainer::loss_and_gradients(const GivenBatch& batch) {
  gradients(batch.n, {seed_, 0, 0}, given(batch));
  network_.parameters().finish_gradients();
  return mean_loss(memory_.results(context_), batch.n);
}

}  // namespace haze::model
