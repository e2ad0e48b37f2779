// SPDX-License-Identifier: MIT
#include "model/planned.h"

#include <algorithm>

namespace haze::model {
namespace {

/// The network with parameters that have no memory, and what they would take.
std::unique_ptr<Network> planned_network(const NetworkConfig& config, const Stream& stream,
                                         bool training, bool ema, DType activations,
                                         MemoryNeeds& needs) {
  auto network = make_network(config);
  engine::Parameters& p = network->parameters();
  p.allocate(stream, 0, training, ema, activations);
  const auto bytes = [](const engine::Tensor& t) { return t ? t.bytes() : 0; };
  needs.weights = bytes(p.weights) + bytes(p.weights_bf16);
  needs.optimiser = bytes(p.gradients) + bytes(p.adam_m) + bytes(p.adam_v);
  needs.ema = bytes(p.ema);
  return network;
}

}  // namespace

MemoryNeeds plan_training(Plan& plan, const NetworkConfig& config, const DiffusionConfig& diffusion,
                          const TrainConfig& train, const ImageSet& set, const Computing& computing,
                          const std::function<void(engine::Context&, Network&)>& also) {
  MemoryNeeds needs;
  const Stream stream = planning(computing.stream, plan);
  const auto network =
      planned_network(config, stream, true, train.keeps_ema(), computing.activations, needs);
  engine::Context context(stream, computing.activations);
  context.fusion = computing.fusion;
  Trainer trainer(context, *network, diffusion, train, 0);
  trainer.use(set);
  const std::vector<std::int32_t> index(std::size_t(train.batch_size), 0);
  // A self-conditioned network is called once or twice a step, as seed and step have it: enough
  // steps for both.
  const std::uint32_t steps = config.self_condition ? 16 : 2;
  for (std::uint32_t k = 0; k < steps; ++k) {
    plan.launches.clear();
    trainer.step(k, index, index);
  }
  auto launches = plan.launches;
  if (also) also(context, *network);
  plan.launches = std::move(launches);
  needs.step = plan.peak_bytes() - (needs.weights + needs.optimiser + needs.ema);
  return needs;
}

void plan_batch(engine::Context& context, Network& network, const DiffusionConfig& diffusion, int n,
                int height, int width, int channels, SamplingOptions options) {
  HAZE_CHECK(plan_of(context), "this stream would compute");
  if (!options.on_x0) n = std::min(n, options.batch);
  const int steps = options.steps > 0 ? options.steps : diffusion.steps;
  options.steps = std::min(2, steps);
  options.jump_length = 0, options.jump_repeats = 1;
  options.x_T.clear(), options.z.clear();
  options.progress = {};
  // Whoever watches the chain gets what the run draws, and it takes the same memory to be watched.
  if (options.on_x0) options.on_x0 = [](int, int, const std::vector<float>&) {};
  if (!options.labels.empty()) options.labels.resize(std::size_t(n));
  sample(context, network, diffusion, n, height, width, channels, options);
}

MemoryNeeds plan_sampling(Plan& plan, const NetworkConfig& config, const DiffusionConfig& diffusion,
                          int n, int height, int width, int channels,
                          const SamplingOptions& options, const Computing& computing) {
  MemoryNeeds needs;
  const Stream stream = planning(computing.stream, plan);
  const auto network = planned_network(config, stream, false, false, computing.activations, needs);
  engine::Context context(stream, computing.activations);
  context.fusion = computing.fusion;
  plan_batch(context, *network, diffusion, n, height, width, channels, options);
  needs.step = plan.peak_bytes() - needs.weights;
  return needs;
}

}  // namespace haze::model
