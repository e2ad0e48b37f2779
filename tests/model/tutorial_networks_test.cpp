// SPDX-License-Identifier: MIT
// tutorial_networks_test.cpp — the small networks: names and sizes, what they refuse, that t
// reaches the result, and that they train, called and replayed. Their numbers are held against
// PyTorch's in verify_test.cpp.
#include <map>
#include <numeric>

#include "tests/model/networks.h"

namespace haze::model {
namespace {

using test::expect_input_error, test::ready;

constexpr Family kTutorials[] = {Family::point_mlp, Family::conv_denoiser, Family::linear_denoiser};

/// Of a size that divides nothing.
NetworkConfig small(Family family) {
  NetworkConfig c;
  c.family = family;
  c.time_steps = 100;
  c.hidden = 11;
  c.widths = {5, 7};
  c.image_channels = family == Family::point_mlp ? 2 : 3;
  c.image_height = family == Family::point_mlp ? 1 : 5;
  c.image_width = family == Family::point_mlp ? 1 : 6;
  return c;
}

using Shapes = std::map<std::string, std::vector<int>>;

Shapes shapes_of(const NetworkConfig& config) {
  Shapes shapes;
  const auto network = make_network(config);  // not allocated
  for (const engine::Parameter& p : network->parameters().all()) {
    auto& shape = shapes[p.name];
    for (int i = 0; i < p.shape.rank(); ++i) shape.push_back(p.shape[i]);
  }
  return shapes;
}

TEST(TutorialNetworks, HaveTheKnownNamesAndShapes) {
  NetworkConfig c;
  c.family = Family::point_mlp;
  c.image_channels = 2;
  c.time_steps = 100;
  EXPECT_EQ(shapes_of(c), (Shapes{{"linears.0.weight", {128, 2}},
                                  {"linears.0.bias", {128}},
                                  {"linears.2.weight", {128, 128}},
                                  {"linears.2.bias", {128}},
                                  {"linears.4.weight", {128, 128}},
                                  {"linears.4.bias", {128}},
                                  {"linears.6.weight", {2, 128}},
                                  {"linears.6.bias", {2}},
                                  {"step_embeddings.0.weight", {100, 128}},
                                  {"step_embeddings.1.weight", {100, 128}},
                                  {"step_embeddings.2.weight", {100, 128}}}));
  c.family = Family::conv_denoiser;
  c.image_channels = 1;
  EXPECT_EQ(shapes_of(c), (Shapes{{"conv1.weight", {64, 3, 3, 2}},
                                  {"conv1.bias", {64}},
                                  {"conv2.weight", {128, 3, 3, 64}},
                                  {"conv2.bias", {128}},
                                  {"conv3.weight", {128, 3, 3, 128}},
                                  {"conv3.bias", {128}},
                                  {"conv4.weight", {1, 3, 3, 128}},
                                  {"conv4.bias", {1}}}));
  c.family = Family::linear_denoiser;
  c.image_channels = 3;
  c.image_height = 4, c.image_width = 6;
  c.learned_variance = true;  // the result has a variance beside each value
  EXPECT_EQ(shapes_of(c), (Shapes{{"conv1.weight", {16, 3, 3, 4}},
                                  {"conv1.bias", {16}},
                                  {"conv2.weight", {3, 3, 3, 16}},
                                  {"conv2.bias", {3}},
                                  {"fc1.weight", {128, 72}},
                                  {"fc1.bias", {128}},
                                  {"fc2.weight", {144, 128}},
                                  {"fc2.bias", {144}}}));
}

TEST(TutorialNetworks, RefuseWhatTheyCannotBe) {
  const auto refuses = [](Family family, auto change, const std::string& text) {
    NetworkConfig c = small(family);
    change(c);
    expect_input_error([&] { make_network(c); }, text);
  };
  using C = NetworkConfig;
  refuses(
      Family::point_mlp, [](C& c) { c.hidden = 0; }, "model.hidden: 0");
  refuses(
      Family::conv_denoiser,
      [](C& c) {
        c.widths = {4, 0};
      },
      "model.widths: 0");
  refuses(
      Family::linear_denoiser, [](C& c) { c.image_height = 0; }, "data.image_size: []");
  refuses(
      Family::linear_denoiser, [](C& c) { c.image_width = 1 << 20; }, "values per image");

  const auto size = [](Family family, int h, int w, const std::string& text) {
    expect_input_error([&] { check_image_size(small(family), h, w); }, text);
  };
  size(Family::point_mlp, 2, 1, "image size: 2x1; point_mlp takes 2-D points");
  size(Family::linear_denoiser, 6, 5, "image size: 6x5; linear_denoiser was made for");
  size(Family::conv_denoiser, 0, 3, "image size: 0x3");
  EXPECT_NO_THROW(check_image_size(small(Family::conv_denoiser), 3, 17));
  EXPECT_NO_THROW(check_image_size(small(Family::linear_denoiser), 5, 6));
  EXPECT_NO_THROW(check_image_size(small(Family::point_mlp), 1, 1));
}

std::vector<float> predict(Network& network, engine::Context& context, const NetworkConfig& c,
                           std::vector<std::int32_t> t) {
  const int n = int(t.size());
  const engine::Shape shape{n, c.image_height, c.image_width, c.image_channels};
  std::vector<double> one(shape.size() / std::size_t(n), 0.25), x;
  for (int i = 0; i < n; ++i) x.insert(x.end(), one.begin(), one.end());  // all images alike
  engine::Tape tape(context, false);
  const auto in = tape.leaf(test::to_tensor(tape, shape, x, context.activations));
  const auto times = engine::upload(context, {n}, t);
  const auto y = network.forward(tape, {in, times, {}}, nullptr);
  EXPECT_EQ(tape.value(y).shape, shape);
  return engine::download(context, tape.value(y));
}

// Each image gets its own t: equal times give equal results wherever they stand in the batch.
TEST(TutorialNetworks, TheTimeOfEachImageReachesItsResult) {
  for (const Family family : kTutorials)
    for (const DType type : {DType::f32, DType::bf16}) {
      engine::Context context{test::device(), type};
      const NetworkConfig c = small(family);
      const auto network = ready(c, context, 3, false);
      const auto y = predict(*network, context, c, {7, 99, 7});
      const std::size_t size = y.size() / 3;
      double apart = 0;
      for (std::size_t i = 0; i < size; ++i) {
        apart = std::max(apart, std::abs(double(y[i]) - y[size + i]));
        EXPECT_EQ(y[i], y[2 * size + i]);
      }
      EXPECT_GT(apart, 1e-3) << int(family) << ' ' << name_of(type);
    }
}

TEST(TutorialNetworks, Bf16IsCloseToF32) {
  for (const Family family : kTutorials) {
    std::vector<float> y[2];
    for (const DType type : {DType::f32, DType::bf16}) {
      engine::Context context{test::device(), type};
      const NetworkConfig c = small(family);
      y[type == DType::bf16] = predict(*ready(c, context, 3, false), context, c, {7, 99});
    }
    // Five layers, each with a rounding of 2^-9 of its input, its weights and its result.
    const double allowed = 15 * 0x1p-9 * test::largest(y[0]);
    double worst = 0;
    for (std::size_t i = 0; i < y[0].size(); ++i)
      worst = std::max(worst, std::abs(double(y[0][i]) - y[1][i]));
    EXPECT_LT(worst, allowed) << int(family);
    EXPECT_GT(worst, 0) << "was bf16 used at all?";
  }
}

// The first steps on CUDA are called, the later ones replayed: constants must be where they were.
TEST(TutorialNetworks, TrainTheSameCalledAndReplayed) {
  for (const Family family : kTutorials) {
    const NetworkConfig c = small(family);
    const auto images = test::rectangles(4, c.image_height, c.image_width, c.image_channels);
    std::vector<std::int32_t> index(4);
    std::iota(index.begin(), index.end(), 0);
    std::vector<float> weights[2];
    for (const bool graphs : {false, true}) {
      engine::Context context{test::device()};
      context.graphs = graphs;
      const auto network = ready(c, context);
      Trainer trainer(context, *network, {.steps = 100}, {.learning_rate = 1e-3, .accumulate = 2},
                      7);
      trainer.use({.height = c.image_height,
                   .width = c.image_width,
                   .channels = c.image_channels,
                   .images = images});
      float first = 0, last = 0;
      for (std::uint32_t k = 0; k < 7; ++k) {
        last = trainer.step(k, index).loss;
        if (k == 0) first = last;
      }
      EXPECT_NE(first, last);
      weights[graphs] = test::read(network->parameters().weights);
    }
    EXPECT_EQ(weights[0], weights[1]) << int(family);
  }
}

// Four images (or points), noised at t = 0..49 of a short chain, are learned by heart far below the
// loss of predicting nothing, which is 1.
TEST(TutorialNetworks, LearnAFewImages) {
  // A smaller batch and fewer steps where the emulator
  // computes: seconds, where all would take minutes.
  const bool emulated = !std::holds_alternative<CpuStream>(test::device());
  const std::size_t batch = emulated ? 16 : 64;
  const std::uint32_t steps = emulated ? 120 : 300;
  for (const Family family : kTutorials) {
    NetworkConfig c = small(family);
    c.hidden = 64, c.widths = emulated ? std::vector{12} : std::vector{24, 24};
    c.time_steps = 50;
    const auto images = test::rectangles(4, c.image_height, c.image_width, c.image_channels);
    std::vector<std::int32_t> index(batch);
    for (std::size_t i = 0; i < batch; ++i) index[i] = std::int32_t(i % 4);
    engine::Context context{test::device()};
    const auto network = ready(c, context);
    Trainer trainer(context, *network, {.steps = 50, .beta_end = 0.2},
                    {.batch_size = int(batch), .learning_rate = emulated ? 1e-2 : 5e-3}, 7);
    trainer.use({.height = c.image_height,
                 .width = c.image_width,
                 .channels = c.image_channels,
                 .images = images});
    double mean = 0;
    for (std::uint32_t k = 0; k < steps; ++k) {
      const float loss = trainer.step(k, index).loss;
      if (k >= steps * 5 / 6) mean += loss / float(steps - steps * 5 / 6);
    }
    // 64 hidden numbers cannot hold the noise of 90 values. What the emulator's short run leaves is
    // still ten of its standard errors, sqrt(2 / (20·16·90)) of the mean square of noise, below 1.
    const double of_linear = emulated ? 0.92 : 0.7;
    EXPECT_LT(mean, family == Family::linear_denoiser ? of_linear : 0.3) << int(family);
  }
}

}  // namespace
}  // namespace haze::model
