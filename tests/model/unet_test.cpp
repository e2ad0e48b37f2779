// SPDX-License-Identifier: MIT
// unet_test.cpp — both families: names and shapes, refused configurations, initial values, and that
// fusion, precision, dropout and memory do what they say.
#include "model/unet.h"

#include "engine/process/process.h"
#include "tests/model/networks.h"

namespace haze::model {
namespace {

using test::expect_input_error, test::kFamilies, test::ready, test::tiny;

NetworkConfig labml(int channels, std::vector<bool> attention) {
  NetworkConfig c;
  c.image_channels = channels;
  c.is_attn = std::move(attention);
  return c;
}

NetworkConfig ddpm(std::vector<int> widths, std::vector<bool> attention, int head_dim = 0) {
  NetworkConfig c;
  c.family = Family::ddpm;
  c.block_out_channels = std::move(widths);
  c.attention = std::move(attention);
  c.attention_head_dim = head_dim;
  return c;
}

struct Known {
  const char* name;
  std::size_t tensors, elements;
  std::uint64_t hash;  // FNV-1a of "name [shape]\n" in the order of names
};

void expect_known(const NetworkConfig& config, const Known& want) {
  const auto network = make_network(config);  // registered, not allocated
  EXPECT_EQ(network->parameters().count(), want.tensors) << want.name;
  EXPECT_EQ(network->parameters().elements(), want.elements) << want.name;
  std::map<std::string, std::string> lines;
  for (const auto& p : network->parameters().all()) {
    std::string shape;
    for (const auto e : pytorch_shape(p)) shape += cat(shape.empty() ? "" : ",", e);
    lines[p.name] = cat(p.name, " [", shape, "]\n");
  }
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const auto& [name, line] : lines)
    for (const char c : line) hash = (hash ^ std::uint8_t(c)) * 0x100000001B3u;
  EXPECT_EQ(hash, want.hash) << want.name << ": some name or shape differs";
}

// The figures are printed by tests/pytorch/record.py --keys.
TEST(UNet, StandardNetworksHaveTheirSystemsNamesAndShapes) {
  expect_known(labml(3, {false, false, false, true}),
               {"labml experiment", 308, 167777987, 0x172e76ff001b1620});
  expect_known(labml(1, {false, false, false, true}),
               {"labml experiment, MNIST", 308, 167775681, 0x5f46189eebc4bfb2});
  expect_known(labml(3, {false, false, true, true}),
               {"labml class default", 338, 168899011, 0xffba7831bed4a28b});
  expect_known(ddpm({128, 256, 256, 256}, {false, true, false, false}),
               {"google/ddpm-cifar10-32", 328, 35746307, 0x3c851ab750a627c3});
  expect_known(ddpm({128, 128, 256, 256, 512, 512}, {false, false, false, false, true, false}),
               {"google/ddpm-celebahq-256", 450, 113673219, 0x75a20f1224c1c0ed});
  expect_known(ddpm({224, 448, 672, 896}, {false, true, true, true}, 8),
               {"UNet2DModel class default", 432, 274056163, 0x4d37900024bace28});
}

TEST(UNet, RefusesWhatNoNetworkCanHave) {
  const auto refuses = [](Family family, auto change, const std::string& text) {
    NetworkConfig c = tiny(family);
    change(c);
    expect_input_error([&] { make_network(c); }, text);
  };
  using C = NetworkConfig;
  const Family l = Family::labml, d = Family::ddpm;
  refuses(
      l, [](C& c) { c.norm_groups = 3; },
      "model.norm_groups: 3; it must divide the 8 channels of down.0.res.norm1");
  refuses(
      l, [](C& c) { c.norm_groups = 0; }, "model.norm_groups: 0");
  refuses(
      l, [](C& c) { c.is_attn = {true}; }, "model.is_attn: 1 values; as many as ch_mults has: 2");
  refuses(
      l,
      [](C& c) {
        c.ch_mults = {1, 0};
      },
      "model.ch_mults: [1, 0]; each at least 1");
  refuses(
      l, [](C& c) { c.ch_mults = {}, c.is_attn = {}; }, "model.ch_mults: []");
  refuses(
      l,
      [](C& c) {
        c.ch_mults = {1024, 1024};
      },
      "widths are cumulative");
  refuses(
      l, [](C& c) { c.n_channels = 9; }, "model.n_channels: 9; even");
  refuses(
      l, [](C& c) { c.n_channels = 2; }, "model.n_channels: 2; more than 2");
  refuses(
      l, [](C& c) { c.n_channels = 12; }, "model.n_channels: 12; a multiple of 8");
  refuses(
      l, [](C& c) { c.n_blocks = 0; }, "model.n_blocks: 0; at least 1");
  refuses(
      l, [](C& c) { c.image_channels = 0; }, "model.image_channels: 0");
  refuses(
      l, [](C& c) { c.dropout = 1; }, "model.dropout: 1; in [0, 1)");
  refuses(
      l, [](C& c) { c.dropout = NAN; }, "model.dropout: nan");
  refuses(
      d, [](C& c) { c.norm_groups = 8; },
      "model.norm_groups: 8; it must divide the 12 channels of down_blocks.1.resnets.0.norm2");
  refuses(
      d,
      [](C& c) {
        c.attention = {true, false, true};
      },
      "model.attention: 3 values; as many as block_out_channels has: 2");
  refuses(
      d, [](C& c) { c.attention_head_dim = 8; },
      "model.attention_head_dim: 8; it must divide the 12 channels of down_blocks.1.attentions");
  refuses(
      d,
      [](C& c) {
        c.block_out_channels = {9, 12};
      },
      "model.block_out_channels: 9; even");
  refuses(
      d, [](C& c) { c.freq_shift = 4; }, "model.block_out_channels: 8; more than 8");
  refuses(
      d, [](C& c) { c.layers_per_block = 0; }, "model.layers_per_block: 0");
  refuses(
      d, [](C& c) { c.downsample_padding = 2; }, "model.downsample_padding: 2");
  refuses(
      d, [](C& c) { c.norm_eps = 0; }, "model.norm_eps: 0");
  expect_input_error([] { check_image_size(tiny(Family::ddpm), 8, 9); }, "image size: 8x9");
  EXPECT_NO_THROW(check_image_size(tiny(Family::ddpm), 8, 10));
}

TEST(UNet, InitialValuesArePyTorchsDefaults) {
  engine::Context context{test::device()};
  const auto network = ready(tiny(Family::labml), context);
  const StateDict state = to_state_dict(network->parameters(), network->parameters().weights);
  // U(-b, b) with b = 1/sqrt(fan_in): nothing outside, and over n values the largest is above
  // b·(1 - 20/n) but for a chance of e^-10.
  const auto expect_uniform = [&](const std::string& name, int fan_in) {
    const auto& v = state.at(name).values;
    const double bound = 1 / std::sqrt(double(fan_in)), most = test::largest(v);
    EXPECT_LE(most, bound * (1 + 1e-6)) << name;
    EXPECT_GE(most, bound * (1 - 20.0 / double(v.size()))) << name;
  };
  expect_uniform("down.2.res.conv1.weight", 8 * 9);
  expect_uniform("down.2.res.conv1.bias", 8 * 9);
  expect_uniform("down.2.attn.projection.weight", 16);
  expect_uniform("up.2.conv.weight", 8 * 16);  // transposed: the fan-in counts output channels
  EXPECT_THAT(state.at("norm.weight").values, testing::Each(1.0f));
  EXPECT_THAT(state.at("norm.bias").values, testing::Each(0.0f));
}

/// Output and gradients of one forward and backward pass over a fixed batch.
struct Pass1 {
  std::vector<float> out, gradients;
};
Pass1 run(const NetworkConfig& config, DType type, bool fusion,
          const TrainingRandom* random = nullptr, int first = 0, int n = 3, bool tf32 = false) {
  Stream stream = test::device();
  if (tf32) *tf32_of(stream) = true;
  engine::Context context{stream, type};
  context.fusion = fusion;
  const auto network = ready(config, context);
  engine::Tape tape(context);
  const int h = 6, w = 10, c = config.image_channels;
  const auto all = test::normal(std::size_t(3 * h * w * c), 5);
  const auto from = all.begin() + std::ptrdiff_t(first * h * w * c);
  const auto x =
      test::leaf(tape, {n, h, w, c}, {from, from + std::ptrdiff_t(n * h * w * c)}, false, type);
  const std::vector<int> times = {0, 400, 999};
  const auto t = test::to_tensor_i32(tape, {times.begin() + first, times.begin() + first + n});
  const auto eps = network->forward(tape, {x, t, {}}, random);
  Pass1 result{engine::download(context, tape.value(eps)), {}};
  const auto loss = engine::mse_loss(tape, eps, {{{}, {3, 4, 5}, 0}});
  tape.backward(loss);
  network->parameters().finish_gradients();
  result.gradients = test::gradients_of(*network);
  return result;
}

TEST(UNet, FusedEqualsUnfused) {
  for (const Family family : kFamilies) {
    const Pass1 on = run(tiny(family), DType::f32, true),
                off = run(tiny(family), DType::f32, false);
    // Sums in another order: some 30 roundings of 2^-24 along the deepest path, each amplified by
    // the norms by no more than 10.
    const double tolerance = 30 * 10 * 0x1p-24;
    test::expect_close(on.out, off.out, 0, tolerance * test::largest(off.out), "output");
    test::expect_close(on.gradients, off.gradients, 0, 4 * tolerance * test::largest(off.gradients),
                       "gradients");
  }
}

// The skips are the largest copies that a step could make: fused, no block joins them.
TEST(UNet, FusedItConcatenatesNothing) {
  for (const Family family : kFamilies) {
    const auto concatenations = [&](bool fusion) {
      engine::Context context{test::device()};
      context.fusion = fusion;
      const auto network = ready(tiny(family), context);
      engine::Tape tape(context);
      const auto x = test::leaf(tape, {1, 6, 10, 3}, test::normal(180, 1), false);
      network->forward(tape, {x, test::to_tensor_i32(tape, {7}), {}}, nullptr);
      return std::ranges::count(tape.ops(), "concat_channels");
    };
    EXPECT_EQ(concatenations(true), 0);
    // Two levels of one block, and one more per level going up.
    EXPECT_EQ(concatenations(false), 4);
  }
}

double rms(const std::vector<float>& a, const std::vector<float>* b = nullptr) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = double(a[i]) - (b ? double((*b)[i]) : 0);
    sum += d * d;
  }
  return std::sqrt(sum / double(a.size()));
}

TEST(UNet, Bf16IsCloseToF32) {
  for (const Family family : kFamilies) {
    const Pass1 f32 = run(tiny(family), DType::f32, true),
                half = run(tiny(family), DType::bf16, true);
    // Activations and weights are rounded about 30 times on the way, by at most 2^-9 each and
    // independently: sqrt(30)·2^-9 = 1.1 %; gradients pass twice as many, and the norms amplify.
    EXPECT_LT(rms(half.out, &f32.out), 0.03 * rms(f32.out));
    EXPECT_LT(rms(half.gradients, &f32.gradients), 0.06 * rms(f32.gradients));
    EXPECT_GT(rms(half.out, &f32.out), 1e-4 * rms(f32.out)) << "was bf16 used at all?";
  }
}

TEST(UNet, Tf32IsCloseToF32) {
  if (Stream stream = test::device(); !tf32_of(stream)) GTEST_SKIP() << "the CPU has no tf32";
  for (const Family family : kFamilies) {
    const Pass1 f32 = run(tiny(family), DType::f32, true),
                some = run(tiny(family), DType::f32, true, nullptr, 0, 3, true);
    // Both factors of about 30 products on the way are rounded, by at most 2^-11 each and
    // independently: sqrt(60)·2^-11 = 0.38 %; gradients pass twice as many, and the norms amplify.
    EXPECT_LT(rms(some.out, &f32.out), 0.01 * rms(f32.out));
    EXPECT_LT(rms(some.gradients, &f32.gradients), 0.02 * rms(f32.gradients));
    // Another order of sums alone would be 1e-6.
    EXPECT_GT(rms(some.out, &f32.out), 2e-5 * rms(f32.out)) << "was tf32 used at all?";
    EXPECT_GT(rms(some.gradients, &f32.gradients), 2e-5 * rms(f32.gradients));
  }
}

TEST(UNet, SameSeedSameBits) {
  for (const Family family : kFamilies) {
    const Pass1 a = run(tiny(family), DType::f32, true), b = run(tiny(family), DType::f32, true);
    EXPECT_EQ(a.out, b.out);
    EXPECT_EQ(a.gradients, b.gradients);
  }
}

TEST(UNet, DropoutFollowsStepAndImageAndOnlyInTraining) {
  NetworkConfig config = tiny(Family::labml);
  const auto plain = run(config, DType::f32, true).out;
  config.dropout = 0.5f;
  EXPECT_EQ(run(config, DType::f32, true).out, plain) << "without `random` nothing is dropped";
  const TrainingRandom one{9, {1}, 0}, two{9, {2}, 0}, third{9, {1}, 2};
  const auto first = run(config, DType::f32, true, &one).out;
  EXPECT_NE(first, plain);
  EXPECT_NE(run(config, DType::f32, true, &two).out, first);
  // The third image alone, told its index, meets the same mask.
  const auto alone = run(config, DType::f32, true, &third, 2, 1).out;
  const std::vector<float> in_batch(first.end() - std::ptrdiff_t(alone.size()), first.end());
  test::expect_close(alone, in_batch, 0, 1e-4 * test::largest(in_batch), "third image");
}

TEST(UNet, EveryDropoutLayerHasAStreamOfItsOwn) {
  engine::Parameters parameters;
  LayerBuilder builder(parameters);
  const BlockStyle style{{"shortcut", "time_emb"}, 16, 4, 1e-5f, 0.1f};
  const ResidualBlock a(builder, style, "a", 8, 8), b(builder, style, "b", 8, 8);
  EXPECT_NE(a.dropout_index, b.dropout_index);
}

TEST(UNet, InferenceHoldsFewActivations) {
  for (const Family family : kFamilies) {
    engine::Context training{test::device()}, inference{test::device()};
    const auto network = ready(tiny(family), training);
    for (engine::Context* context : {&training, &inference}) {
      engine::Tape tape(*context, context == &training);
      const auto x = tape.leaf(tape.empty({2, 32, 32, 3}, DType::f32));
      test::fill(tape.value(x), 0.5f);
      network->forward(tape, {x, test::to_tensor_i32(tape, {3, 4}), {}}, nullptr);
    }
    // At most five times 2·32²·16 values live at once (joined input and its normalised copy, both
    // 16 wide and more; shortcut, result and the skips), plus oneDNN's scratch of the same order.
    EXPECT_LT(inference.arena.peak_bytes(), std::size_t(10) * 2 * 32 * 32 * 16 * 4);
    EXPECT_LT(2 * inference.arena.peak_bytes(), training.arena.peak_bytes());
  }
}

}  // namespace
}  // namespace haze::model
