// SPDX-License-Identifier: MIT
// trainer_test.cpp — a step does what its parts say, depends on seed and step alone, learns, and
// takes the same memory every time.
#include "model/trainer.h"

#include <cmath>
#include <numeric>
#include <set>

#include "engine/permutation.h"
#include "engine/random.h"
#include "model/sampler.h"
#include "model/unet.h"
#include "tests/model/heap.h"
#include "tests/model/networks.h"

namespace haze::model {
namespace {

using test::expect_close, test::Given, test::Images, test::kFamilies, test::ready, test::tiny;

const DiffusionConfig kDiffusion{.steps = 100};

TEST(Trainer, LearningRateWarmsUp) {
  engine::Context context{test::device()};
  const auto network = ready(tiny(Family::labml), context);
  const Trainer trainer(context, *network, kDiffusion, {.learning_rate = 0.4, .warmup_steps = 4},
                        1);
  EXPECT_DOUBLE_EQ(trainer.learning_rate(0), 0.1);
  EXPECT_DOUBLE_EQ(trainer.learning_rate(3), 0.4);
  EXPECT_DOUBLE_EQ(trainer.learning_rate(1000), 0.4);
}

TEST(Trainer, LearningRateDecaysAsHalfACosine) {
  engine::Context context{test::device()};
  const auto network = ready(tiny(Family::labml), context);
  const TrainConfig config{
      .steps = 12, .learning_rate = 0.4, .warmup_steps = 4, .lr_decay = LrDecay::cosine};
  const Trainer trainer(context, *network, kDiffusion, config, 1);
  EXPECT_DOUBLE_EQ(trainer.learning_rate(0), 0.1);
  EXPECT_DOUBLE_EQ(trainer.learning_rate(4), 0.4);  // the cosine begins where the warm-up ends
  EXPECT_NEAR(trainer.learning_rate(6), 0.2 * (1 + std::sqrt(0.5)), 1e-15);
  EXPECT_NEAR(trainer.learning_rate(8), 0.2, 1e-15);
  EXPECT_GT(trainer.learning_rate(11), 0);  // the last step still moves
  EXPECT_NEAR(trainer.learning_rate(12), 0, 1e-15);
  EXPECT_NEAR(trainer.learning_rate(1000), 0, 1e-15);  // a run that goes on: 0, never up again
}

TEST(Trainer, GradientOfAGivenBatchIsTheDerivativeOfItsLoss) {
  for (const Family family : kFamilies) {
    engine::Context context{test::device()};
    const auto network = ready(tiny(family), context);
    auto& p = network->parameters();
    Trainer trainer(context, *network, kDiffusion, {}, 1);
    const Given given(2, 4, 6, 3, 100, 3);
    given.loss_and_gradients(context, trainer);
    const auto g = test::gradients_of(*network);
    // Along the gradient itself, central differences: the loss is a float near 1, so it is known to
    // 2^-23 or so; a step that changes it by 2·1e-2 leaves 1e-5, and curvature adds h²-terms.
    double squares = 0;
    for (const float e : g) squares += double(e) * double(e);
    const double h = 1e-2 / squares;
    const auto loss_at = [&](double step) {
      const std::vector<float> keep = test::read(p.weights);
      auto moved = keep;
      for (std::size_t i = 0; i < g.size(); ++i) moved[i] += float(step * double(g[i]));
      test::write(p.weights, moved);
      const double loss = given.loss_and_gradients(context, trainer);
      test::write(p.weights, keep);
      return loss;
    };
    EXPECT_NEAR((loss_at(h) - loss_at(-h)) / (2 * h * squares), 1, 0.01);
  }
}

TEST(Trainer, AccumulatedPartsEqualTheWholeBatch) {
  for (const Family family : kFamilies) {
    const Given given(9, 4, 6, 3, 100, 3);
    const Images images(9, 4, 6, 3);
    const auto step = [&](int accumulate, bool from_images) {
      engine::Context context{test::device()};
      NetworkConfig config = tiny(family);
      config.dropout = 0.2f;
      const auto network = ready(config, context);
      Trainer trainer(context, *network, kDiffusion, {.accumulate = accumulate, .flip = true}, 1);
      trainer.use(images.set());
      const StepResult r = from_images ? trainer.step(3, images.index)
                                       : trainer.step(3, given.n, given.noising(context, trainer));
      return std::pair(r, test::gradients_of(*network));
    };
    for (const bool from_images : {false, true}) {
      const auto [whole, g1] = step(1, from_images);
      const auto [parts, g4] = step(4, from_images);  // 3 + 2 + 2 + 2
      // The same draws and sums in another order: 2^-24 per addition, about 9·24 of them, and
      // products that the batch's size may order otherwise.
      expect_close(g4, g1, 0, 300 * 0x1p-24 * test::largest(g1), "gradients");
      EXPECT_NEAR(parts.loss, whole.loss, 1e-5 * double(whole.loss));
      EXPECT_NEAR(parts.grad_norm, whole.grad_norm, 1e-4 * double(whole.grad_norm));
    }
  }
}

TEST(Trainer, RefusesMorePartsThanImages) {
  engine::Context context{test::device()};
  const auto network = ready(tiny(Family::labml), context);
  Trainer trainer(context, *network, kDiffusion, {.accumulate = 3}, 1);
  const Images images(2, 4, 4, 3);
  trainer.use(images.set());
  test::expect_input_error([&] { trainer.step(0, images.index); },
                           "train.accumulate: 3; at most the batch size, 2");
}

std::vector<float> weights_after(DType type, std::uint64_t seed, int steps, int from = 0,
                                 Network* go_on = nullptr) {
  engine::Context context{test::device(), type};
  NetworkConfig config = tiny(Family::ddpm);
  config.dropout = 0.1f;
  const auto own = go_on ? nullptr : ready(config, context, 1);
  Network& network = go_on ? *go_on : *own;
  Trainer trainer(context, network, kDiffusion, {.learning_rate = 1e-3, .flip = true}, seed);
  const Images images(4, 8, 8, 3);
  trainer.use(images.set());
  for (int k = from; k < steps; ++k) trainer.step(std::uint32_t(k), images.index);
  const auto& p = network.parameters();
  return test::read(p.weights);
}

TEST(Trainer, SameSeedSameBitsAndStepsNeedNoHistory) {
  for (const DType type : {DType::f32, DType::bf16}) {
    const auto once = weights_after(type, 5, 4);
    EXPECT_EQ(weights_after(type, 5, 4), once);
    EXPECT_NE(weights_after(type, 6, 4), once);
    // A new trainer that takes over the buffers at step 2 ends with the same bits.
    engine::Context context{test::device(), type};
    NetworkConfig config = tiny(Family::ddpm);
    config.dropout = 0.1f;
    const auto network = ready(config, context, 1);
    weights_after(type, 5, 2, 0, network.get());
    EXPECT_EQ(weights_after(type, 5, 4, 2, network.get()), once);
  }
}

TEST(Trainer, ReplayedStepsEqualStepsThatWereCalled) {
  for (const DType type : {DType::f32, DType::bf16}) {
    std::vector<float> weights[2];
    for (const bool graphs : {false, true}) {
      engine::Context context{test::device(), type};
      context.graphs = graphs;
      NetworkConfig config = tiny(Family::labml);
      config.dropout = 0.1f;
      const auto network = ready(config, context, 1);
      Trainer trainer(context, *network, kDiffusion,
                      {.learning_rate = 1e-3, .warmup_steps = 3, .accumulate = 2, .flip = true}, 7);
      const Images images(4, 8, 8, 3);
      trainer.use(images.set());
      // On CUDA the first steps are called, the later ones replayed, with another rate each.
      for (std::uint32_t k = 0; k < 7; ++k) trainer.step(k, images.index);
      weights[graphs] = test::read(network->parameters().weights);
    }
    EXPECT_EQ(weights[0], weights[1]) << name_of(type);
  }
}

/// All state of training after seven steps, with images drawn from the EMA after some of them.
std::vector<std::vector<float>> state_with_grids(DType type,
                                                 const std::set<std::uint32_t>& grids_after) {
  engine::Context context{test::device(), type};
  const auto network = ready(tiny(Family::labml), context, 1, true, true);
  engine::Parameters& p = network->parameters();
  Trainer trainer(context, *network, kDiffusion,
                  {.learning_rate = 1e-2, .ema_decay = 0.5, .flip = true}, 7);
  const Images images(2, 4, 4, 3);
  trainer.use(images.set());
  for (std::uint32_t k = 0; k < 7; ++k) {
    trainer.step(k, images.index);
    if (!grids_after.contains(k)) continue;
    SamplingOptions options;
    options.kind = SamplerKind::ddim;
    options.steps = 2;
    std::vector<float> x;
    p.with_ema([&] { x = sample(context, *network, kDiffusion, 1, 4, 4, 3, options); });
    EXPECT_EQ(x.size(), 4u * 4 * 3);
  }
  std::vector<std::vector<float>> state;
  for (const engine::Tensor& t : {p.weights, p.ema, p.adam_m, p.adam_v, p.weights_bf16})
    if (t) state.push_back(engine::download(context, t));
  return state;
}

// On CUDA the steps are captured by the fourth, with the addresses of the weights.
TEST(Trainer, GridsDrawnFromTheEmaLeaveNoTraceInTraining) {
  for (const DType type : {DType::f32, DType::bf16}) {
    const auto want = state_with_grids(type, {});
    EXPECT_EQ(want.size(), type == DType::bf16 ? 5u : 4u);
    EXPECT_NE(want[0], want[1]) << "the EMA must differ from the weights for this to say anything";
    EXPECT_EQ(state_with_grids(type, {0, 3, 5}), want) << name_of(type);
  }
}

#if defined(HAZE_CUDA)
std::vector<double> losses_on(Stream stream, DType type) {
  engine::Context context{stream, type};
  auto network = make_network(tiny(Family::labml));
  network->parameters().allocate(stream, 3, true, false, type);
  Trainer trainer(context, *network, kDiffusion, {.learning_rate = 1e-3}, 5);
  const Images images(4, 8, 8, 3);
  trainer.use(images.set());
  std::vector<double> losses;
  for (std::uint32_t k = 0; k < 10; ++k) losses.push_back(trainer.step(k, images.index).loss);
  return losses;
}

TEST(Trainer, TheCpuAndCudaHaveTheSameLosses) {
  const Stream cuda = test::streams().back();
  // The same data, times and noise to the bit. What differs is the order of sums, a few hundred
  // roundings per step, and Adam turns the noise of a tiny gradient into a step of full size.
  for (const auto& [type, tolerance] :
       {std::pair{DType::f32, 300 * 0x1p-24}, {DType::bf16, 8 * 0x1p-8}}) {
    const auto on_cuda = losses_on(cuda, type);
    test::expect_close(on_cuda, losses_on(CpuStream{}, type), tolerance, 0, name_of(type));
    EXPECT_EQ(on_cuda, losses_on(cuda, type)) << "run twice, the same bits";
  }
}
#endif

TEST(Trainer, ClipsDecaysAndAverages) {
  engine::Context context{test::device()};
  const auto network = ready(tiny(Family::labml), context, 1, true, true);
  auto& p = network->parameters();
  const std::vector<float> before = test::read(p.weights);
  Trainer trainer(context, *network, kDiffusion,
                  {.learning_rate = 1e-3, .grad_clip = 1e-9, .ema_decay = 0.75, .adam_eps = 1}, 1);
  const Images images(2, 4, 4, 3);
  trainer.use(images.set());
  const StepResult r = trainer.step(0, images.index);
  EXPECT_GT(r.grad_norm, 1e-3) << "the norm before clipping";
  // Clipped to norm 1e-9 and divided by eps = 1: the weights stay, up to 1e-12.
  EXPECT_LT(test::largest(std::vector<double>{double(test::at(p.weights, 0)) - double(before[0])}),
            1e-9);
  Trainer moving(context, *network, kDiffusion, {.learning_rate = 1e-2, .ema_decay = 0.75}, 1);
  moving.use(images.set());
  moving.step(0, images.index);
  std::vector<double> want;
  const std::vector<float> after = test::read(p.weights);
  for (std::size_t i = 0; i < before.size(); ++i)
    want.push_back(0.75 * double(before[i]) + 0.25 * double(after[i]));
  expect_close(test::read(p.ema), want, 1e-6, 1e-7, "ema");
}

TEST(Trainer, OverfitsAFewImages) {
  for (const auto& [family, type] : {std::pair{Family::labml, DType::f32},
                                     {Family::ddpm, DType::f32},
                                     {Family::ddpm, DType::bf16}}) {
    // The emulator takes minutes for what the CPU backend does in seconds: one family there.
    const bool cpu = std::holds_alternative<CpuStream>(test::device());
    if (!cpu && type == DType::f32) continue;
    engine::Context context{test::device(), type};
    NetworkConfig config = tiny(family);
    config.n_channels = 16;
    config.block_out_channels = {16, 32};
    const auto network = ready(config, context);
    Trainer trainer(context, *network, kDiffusion, {.learning_rate = 3e-3}, 1);
    const Images images(cpu ? 8 : 3, 8, 8, 3);
    trainer.use(images.set());
    double first = 0, last = 0;
    for (std::uint32_t k = 0; k < 80; ++k) {
      const double loss = trainer.step(k, images.index).loss;
      if (k < 5) first += loss / 5;
      if (k >= 70) last += loss / 10;
    }
    EXPECT_GT(first, 0.7);  // predicting nothing costs 1
    EXPECT_LT(last, 0.35);
  }
}

/// A U-Net that notes where its input and output lie.
struct Observed : UNet {
  using UNet::UNet;
  std::vector<const void*> seen;
  engine::Var forward(engine::Tape& tape, const NetworkInput& in,
                      const TrainingRandom* random) override {
    seen.push_back(tape.value(in.x).raw());
    const engine::Var y = UNet::forward(tape, in, random);
    seen.push_back(tape.value(y).raw());
    return y;
  }
};

TEST(Trainer, MemoryRepeatsAndIsBounded) {
  for (const Family family : kFamilies) {
    engine::Context context{test::device()};
    context.graphs = false;  // a replayed step does not call the network
    const int size = std::holds_alternative<CpuStream>(test::device()) ? 32 : 16;  // emulated
    NetworkConfig config = tiny(family);
    config.n_channels = 32;
    config.block_out_channels = {32, 64};
    config.attention_head_dim = 0;
    Observed network(config);
    network.parameters().allocate(context.stream, 1, true, false, DType::f32);
    Trainer trainer(context, network, kDiffusion, {.accumulate = 2}, 1);
    const Images images(8, size, size, 3);
    trainer.use(images.set());
    trainer.step(0, images.index);
    trainer.step(1, images.index);
    const std::size_t asked = context.arena.system_allocations(), heap = test::large_allocations();
    network.seen.clear();
    for (std::uint32_t k = 2; k < 5; ++k) trainer.step(k, images.index);
    EXPECT_EQ(context.arena.system_allocations(), asked);
    EXPECT_EQ(context.arena.live_bytes(), 0u);
    EXPECT_EQ(test::large_allocations(), heap) << "memory of activations' size came from the heap";
    ASSERT_EQ(network.seen.size(), 3u * 2 * 2);
    for (std::size_t i = 4; i < network.seen.size(); ++i)
      EXPECT_EQ(network.seen[i], network.seen[i % 4]) << "address " << i;
    // What the rules of one part of four images keep, counted by hand for labml in values per pixel
    // of level 0: a residual block 2·(in + out), attention 5·C, the rest its input; 1232 in all,
    // with 1600 allowed for gradients on the way, norms before attention and oneDNN's scratch.
    EXPECT_LT(context.arena.peak_bytes(), std::size_t(4) * size * size * 1600 * sizeof(float));
  }
}

}  // namespace
}  // namespace haze::model
