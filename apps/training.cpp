// SPDX-License-Identifier: MIT
#include "apps/training.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <sys/resource.h>

#include "apps/checkpointing.h"
#include "apps/device.h"
#include "apps/json_writer.h"
#include "apps/paths.h"
#include "apps/sample_grid.h"
#include "apps/version.h"
#include "engine/device.h"
#include "engine/permutation.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

using Seconds = std::chrono::duration<double>;

bool due(std::uint64_t step, int every) { return every > 0 && step % std::uint64_t(every) == 0; }

bool finite(const model::StepResult& r) {
  return std::isfinite(r.loss) && std::isfinite(r.grad_norm);
}

}  // namespace

std::uint64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::uint64_t(usage.ru_maxrss) * 1024;
}

Training::Training(const RunConfig& config, const Dataset& dataset, engine::Context& context,
                   model::Network& network, RunFolder& folder, Console& console)
    : config_(config),
      dataset_(dataset),
      context_(context),
      network_(network),
      folder_(folder),
      console_(console),
      trainer_(context, network, config.diffusion, config.train, config.seed),
      writer_(engine::disk(), folder.path(), {.keep = config.train.keep_checkpoints}),
      signals_(console.quiet()),
      keeper_(signals_, console),
      index_(std::size_t(config.train.batch_size)) {
  trainer_.use({.height = dataset.height,
                .width = dataset.width,
                .channels = dataset.channels,
                .images = dataset.images,
                .values = dataset.values,
                .labels = dataset.labels,
                .zero_to_one = config.data.range == DataRange::zero_one});
}

void Training::mark_saved(std::uint64_t step) {
  keeper_.mark_saved(step, step > 0 ? engine::checkpoint_path(folder_.path(), step) : "");
  if (step > 0) writer_.mark_verified(step);
}

double Training::Stretch::seconds() const { return Seconds(Clock::now() - start).count(); }

double Training::Stretch::rate(std::uint64_t images) const {
  return double(images - first_image) / std::max(seconds() - paused, 1e-9);
}

std::vector<std::int32_t> Training::batch_of(std::uint64_t step) const {
  if (step >= std::uint64_t(config_.train.steps)) return {};
  const std::size_t size = index_.size();
  std::vector<std::int32_t> index;
  for (std::size_t b = 0; b < size; ++b)
    index.push_back(std::int32_t(
        engine::data_index(std::uint32_t(dataset_.count), config_.seed, step * size + b)));
  return index;
}

model::StepResult Training::train_step() {
  index_ = next_.empty() ? batch_of(done_) : std::move(next_);
  next_ = batch_of(done_ + 1);
  if (trainer_.guard().in_a_row() + 1 >= model::StepGuard::kMostInARow)
    state_before_ = trainer_.state();
  const model::StepResult result = trainer_.step(std::uint32_t(done_), index_, next_);
  if (done_ == first_ && !trainer_.data_is_resident())
    console_.info("the data set is too large for the device: each step's images are sent ahead");
  ++done_;
  return result;
}

int Training::run(std::uint64_t first_step) {
  done_ = first_ = first_step;
  whole_ = row_ = {Clock::now(), done_ * index_.size(), 0};
  try {
    const int code = steps();
    say_what_is_missing();
    return code;
  } catch (const TrainingEnded&) {
    throw;
  } catch (const RunError& e) {
    throw TrainingEnded(
        cat("training: after step ", done_, ": ", e.what(), "; ", keeper_.last_good()));
  } catch (const std::exception&) {
    console_.warning(cat("training ends after step ", done_, "; ", keeper_.last_good()));
    throw;
  }
}

int Training::steps() {
  const auto& train = config_.train;
  const std::uint64_t steps = std::uint64_t(train.steps);
  while (done_ < steps) {
    const auto start = Clock::now();
    const model::StepResult result = train_step();
    signals_.note_step(Seconds(Clock::now() - start).count());
    if (result.skip != model::Skip::no)
      tell_of(look_at(done_, result, trainer_, network_.parameters()));
    const double weight = 1.0 / double(std::min<std::uint64_t>(done_ - first_, 100));
    if (finite(result)) mean_loss_ += weight * (double(result.loss) - mean_loss_);
    report(result);
    const auto pause = Clock::now();
    const bool asked = signals_.take_checkpoint_request();
    if (signals_.stop() || done_ == steps)
      save(Then::ends);
    else if (asked || keeper_.due_again() ||
             (due(done_, train.checkpoint_every) && !keeper_.is_waiting() &&
              trainer_.guard().in_a_row() == 0))
      save(Then::goes_on);
    if (!signals_.stop() && train.sample_every > 0 &&
        (done_ == steps || due(done_, train.sample_every)))
      sample();
    const double paused = Seconds(Clock::now() - pause).count();
    whole_.paused += paused, row_.paused += paused;
    if (const int signal = signals_.stop(); signal && done_ < steps) {
      save(Then::ends);
      signals_.obeyed();
      return 128 + signal;
    }
  }
  signals_.obeyed();
  return 0;
}

void Training::say_what_is_missing() {
  if (const auto rows = folder_.lost_metrics(); rows > 0)
    console_.warning(cat(folder_.file("metrics.jsonl"), ": rows missing: ", rows));
  if (lost_grids_ > 0)
    console_.warning(cat(folder_.file("samples"), ": grids missing: ", lost_grids_));
}

void Training::add_row(const std::string& row) {
  const std::string trouble = folder_.add_metrics(row);
  if (!trouble.empty()) console_.warning(trouble);
}

void Training::report(const model::StepResult& result) {
  const bool last = done_ == std::uint64_t(config_.train.steps);
  const bool row = (due(done_, config_.train.log_every) || last) && result.skip == model::Skip::no;
  if (row) add_row(metrics_row(result));
  console_.progress(double(done_) / config_.train.steps, fields(result),
                    last || done_ == first_ + 1);
  if (row) row_ = {Clock::now(), done_ * index_.size(), 0};
}

std::string Training::metrics_row(const model::StepResult& r, const BadStep* bad) const {
  const double images = double(done_) * config_.train.batch_size;
  const double rate = row_.rate(done_ * index_.size());
  JsonWriter w(0);
  w.begin_object().field("step", done_).field("loss", r.loss);
  w.field("learning_rate", r.learning_rate).field("grad_norm", r.grad_norm);
  w.field("images_per_second", rate).field("images", done_ * index_.size());
  w.field("epoch", images / dataset_.count);
  w.field("elapsed_s", whole_.seconds());
  w.field("time", std::int64_t(std::time(nullptr))).field("sec_per_kimg", 1000 / rate);
  w.field("peak_memory_bytes", peak_memory_bytes());
  w.field("skipped_steps", trainer_.guard().skipped());
  if (bad) add_fields(w, *bad);
  if (!finite(r)) {
    w.key("nonfinite").begin_array();
    if (!std::isfinite(r.loss)) w.value("loss");
    if (!std::isfinite(r.grad_norm)) w.value("grad_norm");
    w.end_array();
  }
  return w.end_object().text();
}

std::string Training::fields(const model::StepResult& r) const {
  const double rate = row_.rate(done_ * index_.size()), batch = config_.train.batch_size;
  const double elapsed = whole_.seconds();
  const double left = (config_.train.steps - double(done_)) * batch / rate;
  return cat("step ", done_, " kimg ", format_number("%.1f", double(done_) * batch / 1000),
             " loss ", format_number("%.5f", r.loss), " lr ",
             format_number("%.2e", r.learning_rate), " gnorm ", format_number("%.3g", r.grad_norm),
             " img/s ", format_number("%.4g", rate), " sec/kimg ",
             format_number("%.3g", 1000 / rate), " mem ",
             format_number("%.2f", double(peak_memory_bytes()) / (1 << 30)), " time ",
             duration(elapsed), " left ", duration(left));
}

/// A row of metrics for every skipped step, whatever train.log_every is.
void Training::tell_of(const BadStep& bad) {
  add_row(metrics_row(bad.result, &bad));
  const model::StepGuard& guard = trainer_.guard();
  if (guard.in_a_row() >= model::StepGuard::kMostInARow) stop_not_finite(bad);
  console_.warning(cat("step ", done_, " is skipped: ", why(bad),
                       "; the network stays as it was; skipped so far: ", guard.skipped()));
}

void Training::stop_not_finite(const BadStep& bad) {
  std::string again;
  if (!is_bad_step(folder_.path())) try {
      const std::string folder =
          keep_bad_step(folder_.path(), bad, {config_, meta_at(done_ - 1), index_, state_before_},
                        network_.parameters());
      again = "; to run the step again: haze train --resume --out " + folder;
    } catch (const std::exception& e) {
      console_.warning(cat("the step cannot be kept to be run again: ", e.what()));
    }
  throw TrainingEnded(
      cat("training: step ", done_, ": ", why(bad), ", as in the ", trainer_.guard().in_a_row() - 1,
          " steps before; ", keeper_.last_good(), again,
          "; try a lower train.learning_rate, train.grad_clip 1 or a longer train.warmup_steps"));
}

engine::CheckpointMeta Training::meta_at(std::uint64_t step) const {
  return {step,
          config_.seed,
          version(),
          to_json(config_),
          dataset_.fingerprint,
          class_lines(dataset_.class_names),
          engine::depends_on_threads(context_.stream, config_.activations()) ? thread_count() : 0};
}

void Training::save(Then then) {
  const auto write = [this] {
    return save_state(writer_, meta_at(done_), network_.parameters(), trainer_.state());
  };
  then == Then::ends ? keeper_.save_at_end(done_, write) : keeper_.save(done_, write);
}

void Training::sample() {
  try {
    draw_grid();
  } catch (const std::exception&) {
    // The state of the step is whole: it outlives what went wrong with its picture.
    try {
      save(Then::ends);
    } catch (const std::exception& e) {
      console_.warning(e.what());
    }
    throw;
  }
}

void Training::draw_grid() {
  if (!has_picture(config_)) return;
  const auto start = Clock::now();
  GridPlan plan = plan_grid(config_);
  plan.options.progress = [this](int, int) { return signals_.stop() == 0; };
  engine::Parameters& parameters = network_.parameters();
  const bool ema = bool(parameters.ema);
  std::vector<float> values;
  const auto draw = [&] {
    values = model::sample(context_, network_, config_.diffusion, plan.count, dataset_.height,
                           dataset_.width, config_.model.image_channels, plan.options);
  };
  try {
    ema ? parameters.with_ema(draw) : draw();
  } catch (const RunError&) {
    if (signals_.stop()) return;  // the checkpoint is what matters now
    throw;
  }
  Recipe recipe{last_name(folder_.path()), done_, ema, plan.options, plan.count};
  recipe.classes = dataset_.class_names;
  const std::string path = folder_.sample_file(done_);
  const auto png = grid_png(values, plan.count, config_, to_json(recipe));
  try {
    // In the run's own folder no link is followed: the folder may have come from anywhere.
    engine::write_file_atomically(engine::disk(), path,
                                  {reinterpret_cast<const char*>(png.data()), png.size()});
  } catch (const std::runtime_error& e) {
    if (lost_grids_++ == 0) console_.warning(cat(e.what(), "; training goes on without it"));
    return;
  }
  console_.info(cat("sample step ", done_, " ", path, " ",
                    format_number("%.2fs", Seconds(Clock::now() - start).count())));
}

}  // namespace haze::apps
