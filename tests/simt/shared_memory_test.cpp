// SPDX-License-Identifier: MIT
// shared_memory_test.cpp — every kernel of every shipped configuration fits the shared memory of
// every GPU that haze supports, in every precision, trained and sampled; and it asks for the same
// bytes on each, because a plan is chosen by shape: bits that depended on the device would not be
// the seed's alone.
#include "apps/config/find.h"
#include "apps/device.h"
#include "kernels/simt/emulator/device_memory.h"
#include "kernels/simt/emulator/emulator.h"
#include "model/sampler.h"
#include "model/trainer.h"
#include "tests/support/test.h"

namespace haze {
namespace {

using apps::Precision;

constexpr std::size_t kKiB[] = {99, 163, 227};  // 8.6, 8.9 and 12; 8.0 and 8.7; 9.0 and 10

/// What is launched is held against the limits, and one block of each kernel runs.
struct Rehearsal : testing::Test {
  const simt::Config before = simt::config();
  const std::size_t capacity = simt::device_capacity();
  Rehearsal() {
    simt::config().rehearsal = true;
    simt::device_capacity() = std::size_t{1} << 42;
  }
  ~Rehearsal() override {
    simt::config() = before;
    simt::device_capacity() = capacity;
  }
};

apps::RunConfig shipped(const std::string& name) {
  apps::RunConfig c = apps::resolve(apps::load_config(name));
  if (c.data.image_size.empty()) c.data.image_size = {1, 1};  // points
  return c;
}

/// A training step and two sampling steps; the bytes that the greediest launch asked for.
std::size_t most_shared(const apps::RunConfig& config, model::Network& network, Stream stream) {
  const int height = config.data.image_size[0], width = config.data.image_size[1];
  const int channels = config.model.image_channels, n = config.train.batch_size;
  simt::counters() = {};
  engine::Context context(stream, config.activations());
  model::Trainer trainer(context, network, config.diffusion, config.train, config.seed);
  const std::vector<std::uint8_t> images(std::size_t(height) * width * channels);
  const std::vector<std::int32_t> labels(config.model.num_classes > 0 ? 1 : 0);
  trainer.use(
      {.height = height, .width = width, .channels = channels, .images = images, .labels = labels});
  trainer.step(0, std::vector<std::int32_t>(std::size_t(n)));
  model::SamplingOptions chain;
  chain.steps = 2;
  chain.batch = n;
  model::sample(context, network, config.diffusion, n, height, width, channels, chain);
  EXPECT_GT(simt::counters().launches, 10u);
  return simt::counters().most_shared;
}

TEST_F(Rehearsal, EveryShippedConfigurationFitsEveryGpu) {
  ASSERT_GE(apps::shipped_configs().size(), 14u);
  const Stream opened = kernels::open_cuda(0);
  for (const std::string& name : apps::shipped_configs())
    for (const DType type : {DType::f32, DType::bf16}) {
      apps::RunConfig config = shipped(name);
      const auto network = model::make_network(config.model);
      network->parameters().allocate(opened, config.seed, true, config.train.keeps_ema(), type);
      for (const Precision precision : {Precision::f32, Precision::tf32, Precision::bf16}) {
        if (apps::activations_of(precision) != type) continue;
        config.precision = precision;
        const std::string what = cat(name, ", ", name_of(precision));
        std::vector<std::size_t> asked;
        for (const std::size_t kib : kKiB) {
          simt::config().limits.shared = kib * 1024;
          try {
            asked.push_back(most_shared(config, *network, apps::in_precision(opened, precision)));
          } catch (const RunError& e) {
            ADD_FAILURE() << what << ", " << kib << " KiB: " << e.what();
          }
        }
        for (const std::size_t bytes : asked)
          EXPECT_EQ(bytes, asked.front()) << what << ": depends on the device";
        if (!asked.empty())
          std::printf("%s: %zu bytes, %s\n", what.c_str(), asked.front(),
                      simt::counters().most_shared_by);
      }
    }
}

}  // namespace
}  // namespace haze
