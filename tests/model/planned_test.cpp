// SPDX-License-Identifier: MIT
// planned_test.cpp — a dry pass takes what the real one takes, without taking it.
#include "model/planned.h"

#include "tests/model/heap.h"
#include "tests/model/networks.h"

namespace haze::model {
namespace {

using test::tiny;

const DiffusionConfig kDiffusion{.steps = 20};

NetworkConfig of_family(Family family) {
  NetworkConfig c = tiny(family);
  c.time_steps = kDiffusion.steps;
  c.dropout = 0.1f;
  c.hidden = 24;
  c.widths = {8, 12};
  c.image_height = c.image_width = family == Family::point_mlp ? 1 : 8;
  if (family == Family::point_mlp) c.image_channels = 2;
  return c;
}

struct Case {
  const char* name;
  NetworkConfig network;
  TrainConfig train;
};

/// Every family, and what else changes the work of a step.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Family family : {Family::labml, Family::ddpm, Family::point_mlp, Family::conv_denoiser,
                              Family::linear_denoiser})
    all.push_back({"family", of_family(family), {.batch_size = 6}});
  const NetworkConfig labml = of_family(Family::labml);
  all.push_back({"accumulate", labml, {.batch_size = 7, .accumulate = 3, .ema_decay = 0.9}});
  all.push_back({"importance", labml, {.batch_size = 6, .timesteps = Timesteps::importance}});
  all.push_back({"classes", of_family(Family::ddpm), {.batch_size = 6}});
  all.back().network.num_classes = 3;
  all.push_back({"self-conditioning", labml, {.batch_size = 6}});
  all.back().network.self_condition = true;
  return all;
}

/// Images, or points, for the case.
struct Data {
  std::vector<std::uint8_t> images;
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  ImageSet set;
  explicit Data(const Case& c) {
    const int side = c.network.image_height, channels = c.network.image_channels;
    const std::size_t size = std::size_t(9 * side * side * channels);
    if (side == 1)
      values.assign(size, 0.5f);
    else
      images.assign(size, 100);
    if (c.network.num_classes > 0) labels.assign(9, 1);
    set = {side, side, channels, images, values, labels, false};
  }
};

/// The arena after training and sampling, and the launches of a step where they are planned.
struct Arenas {
  std::size_t reserved, peak, launches;
  bool operator==(const Arenas&) const = default;
};
Arenas train_and_sample(const Case& c, const Data& data, const Stream& stream, DType type,
                        bool resident) {
  engine::Context context(stream, type);
  context.resident_data = resident;
  context.graphs = false;
  const auto network = make_network(c.network);
  network->parameters().allocate(stream, 1, true, c.train.keeps_ema(), type);
  Trainer trainer(context, *network, kDiffusion, c.train, 1);
  trainer.use(data.set);
  const std::vector<std::int32_t> index(std::size_t(c.train.batch_size), 2);
  std::size_t launches = 0;
  for (std::uint32_t k = 0; k < 5; ++k) {
    if (Plan* const plan = plan_of(stream)) plan->launches.clear();
    trainer.step(k, index, index);
    if (const Plan* const plan = plan_of(stream)) launches = plan->launches.size();
  }
  SamplingOptions options;
  options.steps = 3;
  options.batch = 5;
  sample(context, *network, kDiffusion, 5, data.set.height, data.set.width, data.set.channels,
         options);
  return {context.arena.reserved_bytes(), context.arena.peak_bytes(), launches};
}

TEST(Planned, TakesTheSameOfTheArena) {
  for (const Case& c : cases())
    for (const DType type : {DType::f32, DType::bf16})
      for (const bool resident : {true, false}) {
        const Data data(c);
        Plan plan;
        Arenas planned = train_and_sample(c, data, planning(test::device(), plan), type, resident);
        EXPECT_EQ(plan.live_bytes(), 0u);
        EXPECT_GT(planned.launches, 20u);
        planned.launches = 0;
        const Arenas real = train_and_sample(c, data, test::device(), type, resident);
        EXPECT_EQ(planned.reserved, real.reserved) << c.name << ' ' << name_of(type);
        EXPECT_EQ(planned.peak, real.peak) << c.name << ' ' << name_of(type);
      }
}

TEST(Planned, SaysWhatEachPartTakes) {
  const Case c{"", of_family(Family::labml), {.batch_size = 6, .ema_decay = 0.9}};
  const Data data(c);
  Plan plan;
  const auto network = make_network(c.network);
  const std::size_t flat = network->parameters().flat_size();
  const MemoryNeeds needs = plan_training(plan, c.network, kDiffusion, c.train, data.set,
                                          {test::device(), DType::bf16, true});
  EXPECT_EQ(needs.weights, flat * (4 + 2));
  EXPECT_EQ(needs.optimiser, flat * 12);
  EXPECT_EQ(needs.ema, flat * 4);
  EXPECT_EQ(needs.total(), plan.peak_bytes());
  const std::size_t launches = plan.launches.size();
  EXPECT_GT(launches, 100u);
  for (const auto& at : plan.launches)
    EXPECT_NE(std::string(at.file_name()).find("engine/"), std::string::npos) << at.file_name();
  Plan with;
  const MemoryNeeds more =
      plan_training(with, c.network, kDiffusion, c.train, data.set,
                    {test::device(), DType::bf16, true}, [&](engine::Context& context, Network& n) {
                      SamplingOptions options;
                      options.batch = 1 << 15;
                      plan_batch(context, n, kDiffusion, 1 << 15, 8, 8, 3, options);
                    });
  EXPECT_GT(more.step, 10 * needs.step);
  EXPECT_EQ(with.launches.size(), launches) << "sampling is no part of the step";
}

TEST(Planned, OfAStepThatNoMachineHasTakesNothing) {
  NetworkConfig config = of_family(Family::point_mlp);
  config.hidden = 4096;
  const Case c{"", config, {.batch_size = 1 << 18}};
  const Data data(c);
  Plan plan;
  const std::size_t before = test::large_allocations();
  const MemoryNeeds needs = plan_training(plan, c.network, kDiffusion, c.train, data.set,
                                          {test::device(), DType::f32, true});
  EXPECT_GT(needs.step, std::size_t{1} << 34);  // 16 GiB
  // Indices, times and losses of the batch are on the host, a few bytes an image.
  EXPECT_LT(test::large_allocations() - before, 20u);
}

TEST(Planned, ATensorThatKernelsCannotCountIsRefused) {
  NetworkConfig config = of_family(Family::point_mlp);
  config.hidden = 4096;
  const Case c{"", config, {.batch_size = 1 << 20}};
  Plan plan;
  test::expect_input_error(
      [&] {
        plan_training(plan, c.network, kDiffusion, c.train, Data(c).set,
                      {test::device(), DType::f32, true});
      },
      "a tensor of [1048576,4096] has more than 2147483647 values");
}

TEST(Planned, SamplingTakesWhatItsBatchTakes) {
  const NetworkConfig config = of_family(Family::ddpm);
  const auto step_of = [&](int n, int batch, bool watched) {
    SamplingOptions options;
    options.batch = batch;
    if (watched) options.on_x0 = [](int, int, const std::vector<float>&) {};
    Plan plan;
    return plan_sampling(plan, config, kDiffusion, n, 8, 8, 3, options,
                         {test::device(), DType::f32, true})
        .step;
  };
  EXPECT_EQ(step_of(1000, 64, false), step_of(64, 64, false));
  EXPECT_EQ(step_of(3, 64, false), step_of(3, 3, false));
  EXPECT_GT(step_of(30000, 64, true), 8 * step_of(64, 64, true));
}

TEST(Planned, NobodyIsShownAChainThatIsNotDrawn) {
  SamplingOptions options;
  int shown = 0;
  options.on_x0 = [&](int, int, const std::vector<float>&) { ++shown; };
  options.progress = [&](int, int) { return ++shown > 0; };
  Plan plan;
  plan_sampling(plan, of_family(Family::ddpm), kDiffusion, 2, 8, 8, 3, options,
                {test::device(), DType::f32, true});
  EXPECT_EQ(shown, 0);
}

}  // namespace
}  // namespace haze::model
