// SPDX-License-Identifier: MIT
// device_dataset_test.cpp — a data set that lies on the device and one that is sent give the same
// training, and what does not fit together is refused before the step.
#include "model/device_dataset.h"

#include <optional>

#include "engine/permutation.h"
#include "tests/model/networks.h"

namespace haze::model {
namespace {

using test::Images, test::ready, test::tiny;

const DiffusionConfig kDiffusion{.steps = 100};

enum class Ahead { unknown, right, wrong };

/// Weights after seven steps on images that lie on the device or are sent, with what is said about
/// the step after; a new trainer takes over at `resumed_at`.
std::vector<float> weights_of_run(bool resident, Ahead ahead, std::uint32_t resumed_at) {
  constexpr int kImages = 11;
  engine::Context context{test::device()};
  context.resident_data = resident;
  NetworkConfig config = tiny(Family::ddpm);
  config.num_classes = 3;
  const auto network = ready(config, context, 1);
  const Images images(kImages, 4, 4, 3);  // 144 bytes a batch: labels do not lie right behind them
  const std::vector<std::int32_t> labels{0, 1, 2, 2, 1, 0, 0, 2, 1, 0, 1};
  const auto of_step = [](std::uint32_t k) {  // the last batch is a smaller one
    std::vector<std::int32_t> index;
    for (std::uint64_t b = 0; b < (k == 6 ? 2 : 3); ++b)
      index.push_back(std::int32_t(engine::data_index(kImages, 4, 3 * k + b)));
    return index;
  };
  std::optional<Trainer> trainer;
  for (std::uint32_t k = 0; k < 7; ++k) {
    if (k == 0 || k == resumed_at) {
      trainer.emplace(context, *network, kDiffusion,
                      TrainConfig{.learning_rate = 1e-2, .label_dropout = 0.2, .flip = true}, 7);
      ImageSet set = images.set();
      set.labels = labels;
      trainer->use(set);
    }
    const auto index = of_step(k), next = of_step(k + (ahead == Ahead::wrong ? 3 : 1));
    trainer->step(k, index, ahead == Ahead::unknown ? std::span<const std::int32_t>() : next);
    EXPECT_EQ(trainer->data_is_resident(), resident);
  }
  return test::read(network->parameters().weights);
}

TEST(Trainer, ImagesThatAreSentEqualThoseThatLieOnTheDevice) {
  const auto want = weights_of_run(true, Ahead::unknown, 0);
  EXPECT_EQ(weights_of_run(false, Ahead::unknown, 0), want);
  EXPECT_EQ(weights_of_run(false, Ahead::right, 0), want);
  EXPECT_EQ(weights_of_run(false, Ahead::right, 4), want) << "resumed";
  EXPECT_EQ(weights_of_run(false, Ahead::wrong, 0), want);
}

TEST(Trainer, AnImageThatIsNotThereIsRefusedBeforeTheStep) {
  engine::Context context{test::device()};
  context.resident_data = false;
  const auto network = ready(tiny(Family::labml), context);
  Trainer trainer(context, *network, kDiffusion, {}, 1);
  const Images images(3, 4, 4, 3);
  trainer.use(images.set());
  const auto before = test::read(network->parameters().weights);
  for (const std::vector<std::int32_t>& bad : {std::vector{0, 1, 3}, {0, -1, 1}})
    for (const bool ahead : {false, true}) {
      try {
        ahead ? trainer.step(0, images.index, bad) : trainer.step(0, bad);
        ADD_FAILURE() << "of three images";
      } catch (const CheckError& e) {
        EXPECT_THAT(e.what(), testing::HasSubstr(" of 3"));
      }
    }
  EXPECT_EQ(test::read(network->parameters().weights), before);
}

TEST(Trainer, TakesItsDataSetOnceAndAnotherWhenToldTo) {
  engine::Context context{test::device()};
  const auto weights = [&](const std::vector<int>& sets) {  // which of two sets each step uses
    const auto network = ready(tiny(Family::labml), context);
    Trainer trainer(context, *network, kDiffusion, {.learning_rate = 1e-2}, 1);
    const Images first(3, 4, 4, 3);
    Images second = first;
    for (std::uint8_t& byte : second.bytes) byte = std::uint8_t(255 - byte);
    for (std::size_t k = 0; k < sets.size(); ++k) {
      if (k == 0 || sets[k] != sets[k - 1]) trainer.use(sets[k] == 0 ? first.set() : second.set());
      trainer.step(std::uint32_t(k), first.index);
    }
    return test::read(network->parameters().weights);
  };
  const auto same = weights({0, 0, 0, 0, 0}), changed = weights({0, 0, 0, 0, 1});
  EXPECT_EQ(weights({0, 0, 0, 0, 0}), same);
  EXPECT_NE(changed, same) << "the new set is read, also by a step that was captured";
}

TEST(Trainer, RefusesToStepWithoutDataOrItsLabels) {
  engine::Context context{test::device()};
  NetworkConfig config = tiny(Family::labml);
  config.num_classes = 3;
  const auto network = ready(config, context);
  Trainer trainer(context, *network, kDiffusion, {}, 1);
  const Images images(3, 4, 4, 3);
  try {
    trainer.step(0, images.index);
    ADD_FAILURE() << "without a data set";
  } catch (const CheckError& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("no data set"));
  }
  test::expect_input_error([&] { trainer.use(images.set()); },
                           "model.num_classes: 3; the data set has no classes");
  ImageSet set = images.set();
  set.labels = std::span(images.index).first(2);
  trainer.use(set);
  try {
    trainer.step(0, images.index);
    ADD_FAILURE() << "with two labels for three images";
  } catch (const CheckError& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("2 labels of 3 images"));
  }
}

}  // namespace
}  // namespace haze::model
