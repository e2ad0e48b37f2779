#include "model/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

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
    : context_(context), network_(network), train_(train), seed_(seed) {
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

/// Loss of the whole batch and, in the parameters, its gradient, part by part. Every draw is a
/// function of the image's index in the whole batch, so the parts change rounding only.
float Trainer::gradients(std::uint32_t step, int batch, const Prepare& prepare) {
  const int parts = train_.accumulate;
  if (batch < parts)
    throw InputError(cat("train.accumulate: ", parts, "; at most the batch size, ", batch));
  network_.parameters().begin_gradients();
  std::vector<Tensor> losses;
  for (int k = 0, first = 0; k < parts; ++k) {
    const int n = batch / parts + (k < batch % parts);
    engine::Tape tape(context_);
    Noised part = prepare(first, n);
    const TrainingRandom random{seed_, step, std::uint32_t(first)};
    const engine::Var x = tape.leaf(std::move(part.x_t));
    const engine::Var eps = network_.forward(tape, x, part.t, &random);
    const float share = float(n) / float(batch);
    const engine::Var loss = engine::mse_loss(tape, eps, part.target, share);
    tape.release(eps);
    losses.push_back(tape.value(loss));
    tape.backward(loss);
    first += n;
  }
  // Read last: every part is already under way.
  const engine::Tape reader(context_, false);
  double mean = 0;
  for (int k = 0; k < parts; ++k)
    mean +=
        double(reader.to_host(losses[std::size_t(k)])[0]) * (batch / parts + (k < batch % parts));
  return float(mean / batch);
}

StepResult Trainer::update(std::uint32_t step, float loss) {
  const double rate = learning_rate(step);
  const engine::AdamOptions options{.learning_rate = rate,
                                    .beta1 = train_.adam_beta1,
                                    .beta2 = train_.adam_beta2,
                                    .eps = train_.adam_eps,
                                    .weight_decay = train_.weight_decay,
                                    .grad_clip = train_.grad_clip,
                                    .ema_decay = train_.ema_decay};
  float norm = 0;
  {
    const Tensor on_device = engine::adam_step(context_, network_.parameters(), options, step);
    norm = engine::Tape(context_, false).to_host(on_device)[0];
  }
  context_.arena.consolidate();
  return {loss, norm, rate};
}

StepResult Trainer::step(std::uint32_t step, const ImageBatch& batch) {
  const std::size_t image = Shape({batch.height, batch.width, batch.channels}).size();
  const auto prepare = [&](int first, int n) -> Noised {
    // Only the rows of this part go to the device: a data set may be larger than its memory.
    std::vector<std::uint8_t> rows;
    rows.reserve(std::size_t(n) * image);
    for (const std::int32_t i : batch.index.subspan(std::size_t(first), std::size_t(n))) {
      HAZE_CHECK(i >= 0 && std::size_t(i) < batch.images.size() / image, "image ", i, " of ",
                 batch.images.size() / image);
      const auto row = batch.images.subspan(std::size_t(i) * image, image);
      rows.insert(rows.end(), row.begin(), row.end());
    }
    std::vector<std::int32_t> order(std::size_t(n), 0);
    std::iota(order.begin(), order.end(), 0);
    const Tensor images =
        engine::to_device(context_, {n, batch.height, batch.width, batch.channels},
                          std::span<const std::uint8_t>(rows));
    const Tensor index = engine::to_device(context_, {n}, std::span<const std::int32_t>(order));
    const engine::ImageNoising options{seed_, step, std::uint32_t(first), batch.zero_to_one,
                                       train_.flip};
    engine::NoisedImages noised =
        engine::q_sample_images(context_, images, index, tables_, options);
    return {std::move(noised.x_t), std::move(noised.t), engine::training_noise(options)};
  };
  return update(step, gradients(step, int(batch.index.size()), prepare));
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
  return update(step, gradients(step, batch.n, given(batch)));
}

float Trainer::loss_and_gradients(const GivenBatch& batch) {
  const float loss = gradients(0, batch.n, given(batch));
  network_.parameters().finish_gradients();
  return loss;
}

}  // namespace haze::model
