// SPDX-License-Identifier: MIT
// trained_model.h — a checkpoint ready to compute with:
// what sample, edit, points and eval start from.
#pragma once
#include "apps/checkpointing.h"
#include "apps/console.h"
#include "apps/sample_grid.h"
#include "apps/sample_options.h"
#include "model/editing.h"
#include "model/planned.h"

namespace haze::apps {

struct TrainedModel {
  TrainedWeights weights;
  std::unique_ptr<model::Network> network;
  Precision precision;  // in which it computes
  engine::Context context;

  /// Loads what o.checkpoint names, in the precision and with the fusion that `o` asks for; what
  /// was odd about the checkpoint goes to the console.
  /// InputError for one that cannot be sampled from.
  TrainedModel(const SampleOptions& o, Stream stream, Console& console);

  const RunConfig& config() const { return weights.config; }
  model::ImageSize size() const {
    return {config().data.image_size[0], config().data.image_size[1],
            config().model.image_channels};
  }
  /// Names of the classes that it knows, where the checkpoint keeps them.
  ClassNames classes() const { return class_names_of(weights.meta); }
  /// "runs/a/checkpoints/step-00000100.safetensors, step 100, ema weights"
  std::string name() const;
  /// Of `count` images drawn with these options from o.checkpoint.
  Recipe recipe(const SampleOptions& o, const model::SamplingOptions& sampler, int count) const;
  /// Where and how it computes.
  model::Computing computing() const {
    return {context.stream, context.activations, context.fusion};
  }
  /// One thread where network and batch are not worth more (fit_threads of device.h).
  void fit_threads(const CommonOptions& common, int batch) const;
};

}  // namespace haze::apps
