// SPDX-License-Identifier: MIT
// debugging_test.cpp — what HAZE_DEBUG turns off is off, and training and sampling keep every bit.
#include <cstdlib>

#include "model/sampler.h"
#include "model/trainer.h"
#include "tests/model/networks.h"

namespace haze::model {
namespace {

/// Weights after five steps, which CUDA replays from the third on, and what is drawn with them.
std::vector<float> trained_and_drawn(const char* words) {
  const DiffusionConfig diffusion{.steps = 100};
  setenv("HAZE_DEBUG", words, 1);
  engine::Context context{test::device()};
  unsetenv("HAZE_DEBUG");
  const std::string_view off = words;
  EXPECT_EQ(context.graphs, off.find("no-graphs") == off.npos && off.find("memory") == off.npos);
  NetworkConfig config = test::tiny(Family::labml);
  config.dropout = 0.1f;
  const auto network = test::ready(config, context, 1);
  Trainer trainer(context, *network, diffusion, {.learning_rate = 1e-2, .flip = true}, 7);
  const test::Images images(2, 4, 4, 3);
  trainer.use(images.set());
  const auto asked = context.arena.system_allocations();
  for (std::uint32_t k = 0; k < 5; ++k) trainer.step(k, images.index);
  EXPECT_EQ(trainer.data_is_resident(), off.find("streamed-data") == off.npos);
  if (off.find("separate-memory") != off.npos) {
    EXPECT_GT(context.arena.system_allocations(), asked + 100);
  }
  EXPECT_EQ(context.arena.live_bytes(), 0u);
  std::vector<float> all = test::read(network->parameters().weights);
  SamplingOptions options;
  options.steps = 5;
  const auto drawn = sample(context, *network, diffusion, 2, 4, 4, 3, options);
  all.insert(all.end(), drawn.begin(), drawn.end());
  return all;
}

TEST(Debugging, KeepsEveryBit) {
  const auto want = trained_and_drawn("");
  for (const char* words :
       {"no-graphs", "streamed-data", "separate-memory", "separate-memory,streamed-data"})
    EXPECT_EQ(trained_and_drawn(words), want) << words;
}

}  // namespace
}  // namespace haze::model
