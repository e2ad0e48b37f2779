// SPDX-License-Identifier: MIT
// training.h — the loop of `haze train`: steps,
// metrics, sample grids, checkpoints, and how it ends.
#pragma once
#include <chrono>
#include <memory>
#include <optional>

#include "apps/bad_steps.h"
#include "apps/checkpoint_keeper.h"
#include "apps/config/config.h"
#include "apps/console.h"
#include "apps/data/dataset.h"
#include "apps/run_folder.h"
#include "apps/signals.h"
#include "model/trainer.h"

namespace haze::apps {

class Training {
 public:
  /// `config` is resolved, with the size of the images; `network` is allocated for training and is
  /// at the state of `first_step`.
  Training(const RunConfig& config, const Dataset& dataset, engine::Context& context,
           model::Network& network, RunFolder& folder, Console& console);

  /// Goes from `first_step` to config.train.steps. Returns 0, or 128 + signal when it was asked to
  /// stop and has written a checkpoint. A disk that takes no metrics, grid or checkpoint is a
  /// warning. A step whose loss or gradient is not finite is skipped and logged; throws RunError at
  /// the third in a row, naming the step and a folder to run it again from, and for a last
  /// checkpoint that cannot be written. Each RunError names the last good checkpoint; what was saved
  /// before stays as it is.
  int run(std::uint64_t first_step);

  /// What a resumed run's checkpoint says beside the parameters (restore_state).
  void restore(const model::StateDict& state) { trainer_.restore(state); }
  /// The newest whole checkpoint is that of this step (0: there is none).
  void mark_saved(std::uint64_t step);
  std::uint64_t steps_done() const { return done_; }
  /// Of the whole run, also before it was resumed.
  std::uint64_t steps_skipped() const { return trainer_.guard().skipped(); }
  std::string last_checkpoint() const { return keeper_.last_path(); }
  double mean_loss() const { return mean_loss_; }
  /// Over the whole run, grids and checkpoints left out.
  double images_per_second() const { return whole_.rate(done_ * index_.size()); }

 private:
  using Clock = std::chrono::steady_clock;
  /// Speed since a moment, without the time spent in grids and checkpoints.
  struct Stretch {
    Clock::time_point start = Clock::now();
    std::uint64_t first_image = 0;
    double paused = 0;  // seconds
    double seconds() const;
    double rate(std::uint64_t images) const;
  };
  /// Which images step `step` trains on; none after the last step.
  std::vector<std::int32_t> batch_of(std::uint64_t step) const;
  model::StepResult train_step();
  void report(const model::StepResult& result);
  void tell_of(const BadStep& bad);
  [[noreturn]] void stop_not_finite(const BadStep& bad);
  std::string metrics_row(const model::StepResult& result, const BadStep* bad = nullptr) const;
  std::string fields(const model::StepResult& result) const;
  /// What a checkpoint says of the run, wherever it lies.
  engine::CheckpointMeta meta_at(std::uint64_t step) const;
  int steps();
  void add_row(const std::string& row);
  enum class Then : std::uint8_t { goes_on, ends };
  void save(Then then);
  void sample();
  void draw_grid();
  void say_what_is_missing();

  const RunConfig& config_;
  const Dataset& dataset_;
  engine::Context& context_;
  model::Network& network_;
  RunFolder& folder_;
  Console& console_;
  model::Trainer trainer_;
  engine::CheckpointWriter writer_;
  StopSignals signals_;
  CheckpointKeeper keeper_;
  std::vector<std::int32_t> index_, next_;  // images of the batch, and of the one after it
  std::uint64_t done_ = 0, first_ = 0;
  model::StateDict state_before_;  // of the trainer, where the step may be the last one
  int lost_grids_ = 0;
  double mean_loss_ = 0;  // of about the last 100 steps, for the closing line
  Stretch whole_, row_;   // since the start; since the last row of metrics
};

/// Largest resident memory of this process so far.
std::uint64_t peak_memory_bytes();

}  // namespace haze::apps
