// SPDX-License-Identifier: MIT
// trainer.h — one training step: noise the batch, predict, take the gradient, update.
#pragma once
#include <array>
#include <functional>
#include <optional>
#include <span>

#include "engine/replay.h"
#include "model/device_dataset.h"
#include "model/importance.h"
#include "model/network.h"
#include "model/objective.h"
#include "model/schedule.h"
#include "model/step_guard.h"
#include "model/step_memory.h"

namespace haze::model {

/// Makes images [first, first + n) of a batch ready for the network.
using Noising = std::function<NoisedBatch(int first, int n)>;

struct StepResult {
  float loss;       // before the update; mean over the batch
  float grad_norm;  // global norm before clipping
  double learning_rate;
  Skip skip;     // why the network is as it was before the step; no: it was updated
  double limit;  // of grad_norm, by train.spike_factor; infinity: none
};

/// Learning rate of a step: linear warm-up over warmup_steps, then constant or half a cosine
/// that reaches 0 at train.steps (Loshchilov and Hutter 2017, arXiv:1608.03983, one period).
double learning_rate_at(const TrainConfig& train, std::uint32_t step);

class Trainer {
 public:
  /// `network`'s parameters are allocated for training. `seed` drives t, noise, flips and dropout.
  Trainer(engine::Context& context, Network& network, const DiffusionConfig& diffusion,
          const TrainConfig& train, std::uint64_t seed)
      : Trainer(context, network, diffusion, make_schedule(diffusion), train, seed) {}
  Trainer(engine::Context& context, Network& network, const DiffusionConfig& diffusion,
          const Schedule& schedule, const TrainConfig& train, std::uint64_t seed);

  /// The data set that steps take their images from, until the next call. Its memory stays where it
  /// is. Throws InputError for one without labels if the network is conditional.
  void use(const ImageSet& set);
  /// Training step number `step`, from 0, on images `index` of the data set: what is drawn is a
  /// function of seed and step. `next`, where it is known, are the images of the step after this
  /// one: of a data set that is too large for the device they travel while this step computes. On
  /// CUDA the step is captured and replayed as long as batches are of one size. Throws InputError
  /// for a batch smaller than train.accumulate, CheckError for an image that the set has not.
  /// Reading loss and norm is the only synchronisation.
  ///
  /// A step whose loss or gradient is not finite, or larger than train.spike_factor allows, is skipped
  /// on the device: weights, moments and EMA keep their bits. It has a number, images and a learning
  /// rate as any other; only Adam's bias correction counts the updates alone, as
  /// torch.amp.GradScaler has it.
  StepResult step(std::uint32_t step, std::span<const std::int32_t> index,
                  std::span<const std::int32_t> next = {});
  /// The same on a batch of n images that `noised` makes.
  StepResult step(std::uint32_t step, int n, const Noising& noised);
  /// Its loss and gradients, without an update (parameters().gradients holds them).
  float loss_and_gradients(int n, const Noising& noised);

  /// The data set lies on the device as a whole; after the first step.
  bool data_is_resident() const { return data_ && data_->resident(); }
  /// sqrt(alpha_bar) and sqrt(1 - alpha_bar) of the schedule.
  const engine::NoiseTables& tables() const { return tables_; }

  double learning_rate(std::uint32_t step) const;
  /// Decay of the EMA in a step of `batch` images; 0 if none is kept.
  double ema_decay(std::uint32_t step, int batch) const;

  /// Skipped steps so far, and how many not finite ones in a row at the end.
  const StepGuard& guard() const { return guard_; }
  /// The parameters whose gradient was not finite in the last step, if it was skipped for that.
  std::vector<engine::ParamId> nonfinite_gradients() const;

  /// What a resumed run needs besides parameters and step: losses by time where train.timesteps is
  /// importance, and the guard's memory of skipped steps. restore() throws InputError for another
  /// run's.
  StateDict state() const;
  void restore(const StateDict& state);

 private:
  enum class Update : bool { no, yes };
  void one_step(int batch, const Noising& noised, bool self_conditions, Update update);
  engine::Var predict(engine::Tape& tape, const NoisedBatch& part, const TrainingRandom& random,
                      bool self_conditions);
  NoisedBatch noised_images(int first, int n);
  void bind(int batch);
  bool self_conditions(std::uint32_t step) const;
  void check_batch(int n) const;
  StepResult result(std::uint32_t step, int batch);
  std::uint32_t updates_before(std::uint32_t step) const;
  float mean_loss(const std::vector<float>& results, int batch) const;
  engine::AdamStep adam(std::uint32_t step, int batch) const;

  engine::Context& context_;
  Network& network_;
  TrainConfig train_;
  std::uint64_t seed_;
  engine::NoiseTables tables_;
  Objective objective_;
  std::optional<ImportanceTimes> importance_;
  StepMemory memory_;
  StepGuard guard_;
  ImageSet set_;
  std::optional<DeviceDataset> data_;     // for batches of one size
  std::array<engine::Replay, 2> replay_;  // without and with self-conditioning
};

}  // namespace haze::model
