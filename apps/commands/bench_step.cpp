// SPDX-License-Identifier: MIT
// bench_step.cpp — `haze bench step` and `haze bench sample`:
// how long a step of a configuration takes.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "apps/commands/bench.h"
#include "apps/config/find.h"
#include "apps/data/input_file.h"
#include "apps/device.h"
#include "apps/standard_output.h"
#include "apps/training.h"
#include "engine/device.h"
#include "model/sampler.h"
#include "model/trainer.h"

namespace haze::apps {
namespace {

struct Measured {
  std::vector<double> milliseconds;  // of every step after the warm-up, in order
  std::size_t arena_bytes = 0;
};

/// What a block is asked to have, and has: 0 on the CPU.
std::string shared_memory_text(const std::optional<engine::SharedMemoryUse>& use) {
  if (!use || use->bytes == 0) return "";
  return cat("\nshared memory of a block: ", use->bytes, " of ", use->limit, " bytes at most, by ",
             use->kernel, "\n");
}

/// Steps on images of noise: the time of a step does not depend on what is on them.
Measured measure(const BenchOptions& options, const RunConfig& config, Stream stream) {
  constexpr int kImages = 4096;
  const int height = config.data.image_size[0], width = config.data.image_size[1];
  const int channels = config.model.image_channels;
  std::vector<std::uint8_t> images(std::size_t(kImages) * height * width * channels);
  std::uint32_t state = 1;
  for (auto& byte : images) byte = std::uint8_t((state = state * 1664525u + 1013904223u) >> 24);

  const auto network = model::make_network(config.model);
  model::check_image_size(config.model, height, width);
  network->parameters().allocate(stream, config.seed, true, config.train.keeps_ema(),
                                 config.activations());
  engine::Context context(stream, config.activations());
  context.fusion = options.fusion;
  model::Trainer trainer(context, *network, config.diffusion, config.train, config.seed);
  std::vector<std::int32_t> index(std::size_t(config.train.batch_size));
  std::vector<std::int32_t> labels(config.model.num_classes > 0 ? kImages : 0);
  trainer.use(
      {.height = height, .width = width, .channels = channels, .images = images, .labels = labels});
  Measured m;
  for (int step = 0; step < options.warmup + options.steps; ++step) {
    for (std::size_t b = 0; b < index.size(); ++b)
      index[b] = std::int32_t((std::size_t(step) * index.size() + b) % kImages);
    const auto start = std::chrono::steady_clock::now();
    trainer.step(std::uint32_t(step), index);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    if (step >= options.warmup) m.milliseconds.push_back(took.count());
  }
  m.arena_bytes = context.arena.peak_bytes();
  return m;
}

/// Sampling steps: chains of options.steps DDPM steps, options.warmup of them not counted. What is
/// timed is a whole chain with its copy to the host, divided by its steps.
Measured measure_sampling(const BenchOptions& options, const RunConfig& config, Stream stream) {
  const int height = config.data.image_size[0], width = config.data.image_size[1];
  const auto network = model::make_network(config.model);
  model::check_image_size(config.model, height, width);
  network->parameters().allocate(stream, config.seed, false, false, config.activations());
  engine::Context context(stream, config.activations());
  context.fusion = options.fusion;
  constexpr int kChains = 5;
  model::SamplingOptions chain;
  chain.steps = std::min(options.steps, config.diffusion.steps);
  chain.batch = config.train.batch_size;
  Measured m;
  for (int k = 0; k < 1 + kChains; ++k) {
    const auto start = std::chrono::steady_clock::now();
    model::sample(context, *network, config.diffusion, chain.batch, height, width,
                  config.model.image_channels, chain);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    if (k > 0) m.milliseconds.push_back(took.count() / chain.steps);
  }
  m.arena_bytes = context.arena.peak_bytes();
  return m;
}

double mib(std::size_t bytes) { return double(bytes) / (1 << 20); }

}  // namespace

int bench_steps(const BenchOptions& options, const Program& program) {
  if (options.config.empty())
    throw InputError(cat("--config: not given; try haze bench ", options.what, " --config mnist"));
  Settings settings = load_config(options.config);
  for (const auto& [key, setting] : options.settings) settings[key] = setting;
  const RunConfig config = resolve(settings);
  if (config.data.image_size.empty())
    throw InputError("data.image_size: not given; the size of the images to time a step with");
  const Stream stream =
      in_precision(open_device(program.common), config.precision, "train.precision");
  const bool training = options.what == "step";
  const Measured m =
      training ? measure(options, config, stream) : measure_sampling(options, config, stream);
  const char* precision = name_of(config.precision);
  JsonWriter w = bench_document(options, stream, program);
  w.field("config", options.config);
  w.field("precision", precision).field("batch", config.train.batch_size);
  w.field("threads", thread_count()).key("milliseconds").begin_array();
  for (const double ms : m.milliseconds) w.value(ms);
  w.end_array().field("arena_mib", mib(m.arena_bytes)).field("peak_mib", mib(peak_memory_bytes()));
  const auto shared = engine::most_shared_memory(stream);
  if (shared) {
    w.key("shared_memory").begin_object().field("kernel", shared->kernel);
    w.field("bytes", shared->bytes).field("limit", shared->limit).end_object();
  }
  bench_deliver(options, w.end_object().text());
  if (options.json) return 0;
  const double median = bench_quantile(m.milliseconds, 0.5);
  print_formatted("%s\n\n", device_description(stream).c_str());
  print_formatted(
      "| %s | precision | batch | threads | median ms | p20-p80 ms | images/s | arena MiB "
      "| peak MiB | n |\n|---|---|---|---|---|---|---|---|---|---|\n",
      training ? "training step" : "sampling step");
  print_formatted("| %s | %s | %d | %d | %.2f | %.2f-%.2f | %.0f | %.0f | %.0f | %zu |\n",
                  printable(options.config).c_str(), precision, config.train.batch_size,
                  thread_count(), median, bench_quantile(m.milliseconds, 0.2),
                  bench_quantile(m.milliseconds, 0.8), 1000 * config.train.batch_size / median,
                  mib(m.arena_bytes), mib(peak_memory_bytes()), m.milliseconds.size());
  print(shared_memory_text(shared));
  return 0;
}

}  // namespace haze::apps
