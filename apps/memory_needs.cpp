// SPDX-License-Identifier: MIT
#include "apps/memory_needs.h"

#include <algorithm>
#include <functional>

#include "apps/memory.h"
#include "apps/sample_grid.h"
#include "engine/device.h"

namespace haze::apps {
namespace {

/// Code that oneDNN makes for each shape, stacks of threads, what the C++ library holds back.
constexpr std::uint64_t kProgram = std::uint64_t{64} << 20;

/// Bytes of main memory, and of a GPU's where it computes there.
struct Bytes {
  std::uint64_t host = kProgram, device = 0;
};

struct Free {
  FreeMemory host = free_memory();
  std::uint64_t device;
  explicit Free(const Stream& stream) : device(engine::free_device_bytes(stream)) {}
  bool holds(const Bytes& b) const { return b.host <= host.bytes && b.device <= device; }
  /// What it needs and has where it lacks more.
  std::string short_of(const Bytes& b) const {
    if (b.device > device)
      return cat(byte_text(b.device), " of GPU memory; ", byte_text(device), " are free");
    return cat(byte_text(b.host), "; ", byte_text(host.bytes), ' ', host.where, " are free");
  }
  std::string text(const Stream& stream) const {
    const std::string here = cat(byte_text(host.bytes), ' ', host.where, " are free");
    return cuda_of(stream) ? cat(byte_text(device), " of GPU memory and ", here) : here;
  }
};

Bytes of(const Stream& stream, std::uint64_t computing, std::uint64_t host) {
  if (cuda_of(stream)) return {kProgram + host, computing};
  return {kProgram + host + computing, 0};
}

/// The largest of 1 .. asked - 1 for which fits() holds, up to a sixteenth; 0 if none does. It takes
/// a dry pass each time: few are made.
int largest(int asked, const std::function<bool(int)>& fits) {
  int least = 0, most = asked;  // fits; does not
  while (most - least > std::max(1, least / 16)) {
    const int middle = least + (most - least) / 2;
    (fits(middle) ? least : most) = middle;
  }
  return least;
}

model::MemoryNeeds plan_run(const RunConfig& config, const Dataset& data,
                            const model::Computing& computing) {
  Plan plan;
  const bool grids = config.train.sample_every > 0 && has_picture(config);
  return model::plan_training(plan, config.model, config.diffusion, config.train,
                              {.height = data.height,
                               .width = data.width,
                               .channels = data.channels,
                               .images = data.images,
                               .values = data.values,
                               .labels = data.labels},
                              computing, [&](engine::Context& context, model::Network& network) {
                                if (!grids) return;
                                const GridPlan grid = plan_grid(config);
                                model::plan_batch(context, network, config.diffusion, grid.count,
                                                  data.height, data.width,
                                                  config.model.image_channels, grid.options);
                              });
}

/// A checkpoint is put together in main memory: all flat buffers but the gradients.
std::uint64_t checkpoint_bytes(const model::MemoryNeeds& needs) {
  return needs.optimiser + needs.ema;  // weights, m, v are as large as gradients, m, v
}

}  // namespace

std::string training_needs(const RunConfig& config, const Dataset& data,
                           const model::Computing& computing) {
  const Free free(computing.stream);
  const auto needs_of = [&](int parts) {  // a batch is a multiple of train.accumulate
    RunConfig with = config;
    with.train.batch_size = parts * config.train.accumulate;
    return plan_run(with, data, computing);
  };
  const auto bytes_of = [&](const model::MemoryNeeds& n) {
    return of(computing.stream, n.total(), checkpoint_bytes(n));
  };
  const int asked = config.train.batch_size / config.train.accumulate;
  const auto refuse = [&](const std::string& why) {
    const int parts = largest(asked, [&](int k) {
      try {
        return free.holds(bytes_of(needs_of(k)));
      } catch (const InputError&) {  // a tensor larger than kernels count
        return false;
      }
    });
    const int batch = parts * config.train.accumulate;
    throw InputError(cat("train.batch_size: ", config.train.batch_size, "; ", why, "; ",
                         batch > 0 ? cat("about ", batch, " fit") : "not even the smallest fits",
                         "; raise train.accumulate, or make the network or its images smaller"));
  };
  model::MemoryNeeds needs;
  try {
    needs = needs_of(asked);
  } catch (const InputError& e) {
    refuse(e.what());
  }
  if (!free.holds(bytes_of(needs))) refuse("training needs " + free.short_of(bytes_of(needs)));
  return cat("memory: weights ", byte_text(needs.weights), ", gradients and optimiser ",
             byte_text(needs.optimiser), ", EMA ", byte_text(needs.ema), ", a step ",
             byte_text(needs.step), ", writing a checkpoint ", byte_text(checkpoint_bytes(needs)),
             ", the data set ", byte_text(data.images.size() + 4 * data.values.size()), "; ",
             free.text(computing.stream));
}

std::string sampling_needs(const RunConfig& config, int n, const model::SamplingOptions& options,
                           const model::Computing& computing) {
  const Free free(computing.stream);
  const int h = config.data.image_size[0], w = config.data.image_size[1];
  const int channels = config.model.image_channels;
  // Drawn values, their collection and the order in which they are written; the picture as bytes.
  const std::uint64_t images = std::uint64_t(n) * std::uint64_t(h) * std::uint64_t(w) *
                               std::uint64_t(channels) * (3 * sizeof(float) + 2);
  const auto bytes_of = [&](int batch) {
    model::SamplingOptions with = options;
    with.batch = batch;
    Plan plan;
    const auto needs = model::plan_sampling(plan, config.model, config.diffusion, n, h, w, channels,
                                            with, computing);
    return of(computing.stream, needs.step, images);
  };
  const auto refuse = [&](const std::string& why) {
    const int batch = options.on_x0 ? 0 : largest(options.batch, [&](int k) {
      try {
        return free.holds(bytes_of(k));
      } catch (const InputError&) {
        return false;
      }
    });
    throw InputError(
        cat("--n: ", n, " images of ", h, "x", w, "x", channels, "; ", why, "; ",
            batch > 0 ? cat("--batch ", batch, " fits") : "no --batch is small enough"));
  };
  Bytes bytes;
  try {
    bytes = bytes_of(options.batch);
  } catch (const InputError& e) {
    refuse(e.what());
  }
  if (!free.holds(bytes)) refuse("drawing them needs " + free.short_of(bytes));
  return cat("memory: ", byte_text(bytes.host - kProgram + bytes.device), " beside the weights; ",
             free.text(computing.stream));
}

}  // namespace haze::apps
