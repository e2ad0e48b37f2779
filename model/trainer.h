// trainer.h — one training step: noise the batch, predict, take the gradient, update.
#pragma once
#include <array>
#include <functional>
#include <optional>
#include <span>

#include "engine/process/process.h"
#include "engine/replay.h"
#include "model/importance.h"
#include "model/network.h"
#include "model/objective.h"
#include "model/schedule.h"
#include "model/step_memory.h"

namespace haze::model {

/// A batch as the data set holds it. Row n of the batch is image index[n].
struct ImageBatch {
  std::span<const std::uint8_t> images;  // all images of the set, [M,H,W,C]
  std::span<const std::int32_t> index;   // [N]
  int height, width, channels;
  bool zero_to_one = false;                   // scale to [0,1] (labml) instead of [-1,1]
  std::span<const std::int32_t> labels = {};  // [M]; for conditional networks
  std::span<const float> values = {};         // in place of images: numbers, taken as they are
  std::span<const std::int32_t> next = {};    // [N], if known: index of the step after this one
};

/// A batch with everything given, as recorded by another framework. Haze's layout.
struct GivenBatch {
  std::span<const float> x0, noise;  // [N,H,W,C]
  std::span<const std::int32_t> t;   // [N]
  int n, height, width, channels;
};

struct StepResult {
  float loss;       // before the update; mean over the batch
  float grad_norm;  // global norm before clipping
  double learning_rate;
};

class Trainer {
 public:
  /// `network`'s parameters are allocated for training. `seed` drives t, noise, flips and dropout.
  Trainer(engine::Context& context, Network& network, const DiffusionConfig& diffusion,
          const TrainConfig& train, std::uint64_t seed)
      : Trainer(context, network, diffusion, make_schedule(diffusion), train, seed) {}
  Trainer(engine::Context& context, Network& network, const DiffusionConfig& diffusion,
          const Schedule& schedule, const TrainConfig& train, std::uint64_t seed);

  /// Throws InputError for a batch that is smaller than train.accumulate.
  /// Does training step number `step` (0-based; what is drawn is a function of seed and step).
  /// Loss and norm are f32 reads of the device: the only synchronisation. Images are batches of one
  /// shape, and the data set behind them stays where it is: on CUDA the step is replayed. Where the
  /// data set is too large for the device, the images of batch.next travel during this step.
  StepResult step(std::uint32_t step, const ImageBatch& batch);
  StepResult step(std::uint32_t step, const GivenBatch& batch);
  /// The data set lies on the device as a whole; after the first step.
  bool data_is_resident() const { return memory_.resident(); }
  /// Loss and gradients of a given batch, without an update (parameters().gradients holds them).
  float loss_and_gradients(const GivenBatch& batch);

  /// Learning rate of a step: linear warm-up over warmup_steps, then constant or half a cosine
  /// that reaches 0 at train.steps (Loshchilov and Hutter 2017, arXiv:1608.03983, one period).
  double learning_rate(std::uint32_t step) const;
  /// Decay of the EMA in a step of `batch` images; 0 if none is kept.
  double ema_decay(std::uint32_t step, int batch) const;

  /// What a resumed run needs besides parameters and step; empty unless train.timesteps is
  /// importance. restore() throws InputError for another run's.
  StateDict state() const;
  void restore(const StateDict& state);

 private:
  /// Makes images [first, first + n) of the batch ready for the network.
  using Prepare = std::function<NoisedBatch(int first, int n)>;
  void gradients(int batch, const TrainingRandom& random, const Prepare& prepare,
                 bool self_conditions);
  engine::Var predict(engine::Tape& tape, const NoisedBatch& part, const TrainingRandom& random,
                      bool self_conditions);
  bool self_conditions(std::uint32_t step) const;
  float mean_loss(const std::vector<float>& results, int batch) const;
  engine::AdamStep adam(std::uint32_t step, int batch) const;
  Prepare given(const GivenBatch& batch);
  Prepare images(const ImageBatch& batch);
  engine::Context& context_;
  Network& network_;
  TrainConfig train_;
  std::uint64_t seed_;
  engine::NoiseTables tables_;
  Objective objective_;
  std::optional<ImportanceTimes> importance_;
  StepMemory memory_;
  std::array<engine::Replay, 2> replay_;  // without and with self-conditioning
  int replayed_batch_ = 0;
};

}  // namespace haze::model
