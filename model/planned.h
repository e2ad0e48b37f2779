// SPDX-License-Identifier: MIT
// planned.h — what training and sampling take, found by a dry pass: the same code on a stream that
// plans (kernels/base/plan.h), so that the figure is that of the run itself.
#pragma once
#include <functional>

#include "kernels/base/plan.h"
#include "model/sampler.h"
#include "model/trainer.h"

namespace haze::model {

/// Bytes on the device where it computes.
struct MemoryNeeds {
  std::size_t weights = 0;    // with their bf16 copy
  std::size_t optimiser = 0;  // gradients, Adam's m and v
  std::size_t ema = 0;
  std::size_t step = 0;  // activations, scratch, tables; on a GPU the data set or its batches
  std::size_t total() const { return weights + optimiser + ema + step; }
};

/// Where and how it is to be computed.
struct Computing {
  Stream stream;
  DType activations = DType::f32;
  bool fusion = true;
};

/// Of training with batches of train.batch_size from the set, and of what `also` does now and then
/// in the same context: sampling, say. Leaves in `plan` the launches of one step. The set's images
/// are not looked at. InputError for a step that cannot be.
MemoryNeeds plan_training(Plan& plan, const NetworkConfig& network,
                          const DiffusionConfig& diffusion, const TrainConfig& train,
                          const ImageSet& set, const Computing& computing,
                          const std::function<void(engine::Context&, Network&)>& also = {});

/// Of sampling batches of options.batch images (all n with options.on_x0).
MemoryNeeds plan_sampling(Plan& plan, const NetworkConfig& network,
                          const DiffusionConfig& diffusion, int n, int height, int width,
                          int channels, const SamplingOptions& options, const Computing& computing);
/// One batch of it in a context that plans: sample() with few steps, which take what many do.
void plan_batch(engine::Context& context, Network& network, const DiffusionConfig& diffusion, int n,
                int height, int width, int channels, SamplingOptions options);

}  // namespace haze::model
