// SPDX-License-Identifier: MIT
// bad_steps.h — what is said and kept of training steps that were skipped.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/config/config.h"
#include "apps/json_writer.h"
#include "engine/files/checkpoint.h"
#include "model/trainer.h"

namespace haze::apps {

/// A step that left the network as it was.
struct BadStep {
  std::uint64_t step = 0;  // as metrics.jsonl counts, from 1
  model::StepResult result{};
  std::string parameter;  // where the backward pass met the first number that is not finite
  std::size_t bad_parameters = 0, parameters = 0;  // with such a gradient, and all
};

/// Looks at the gradients of the trainer's last step, which was skipped.
BadStep look_at(std::uint64_t step, const model::StepResult& result, const model::Trainer& trainer,
                const engine::Parameters& parameters);

/// "the gradient is not a finite number, first in final.weight (3 of 121 parameters)"
std::string why(const BadStep& bad);

/// "skipped": "loss", "gradient" or "spike", and its details, into an open object.
void add_fields(JsonWriter& row, const BadStep& bad);

/// What a step may be run again from.
struct BeforeStep {
  const RunConfig& config;
  engine::CheckpointMeta meta;       // of the step before
  std::vector<std::int32_t> images;  // of the data set, in the order of the batch
  model::StateDict trainer;          // its state before the step
};

/// Writes RUN/bad-step-NNNNNNNN: bad-step.json, which says what the step was (number, images, seed,
/// configuration), and beside it the state before the step as a run of its own, so that
/// `haze train --resume --out RUN/bad-step-NNNNNNNN` begins with that step. Returns the folder.
/// RunError if it cannot be written.
std::string keep_bad_step(const std::string& run, const BadStep& bad, const BeforeStep& before,
                          const engine::Parameters& parameters);
/// Is the run such a folder itself?
bool is_bad_step(const std::string& run);

}  // namespace haze::apps
