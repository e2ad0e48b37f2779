// SPDX-License-Identifier: MIT
// inception_test.cpp — Inception-v3 against features that PyTorch computed from the same 22 million
// drawn weights (tests/pytorch/record_inception.py). On the CPU alone: the emulator would take
// minutes, and all that is new to a device is in tests/kernels/pool_test.cpp.
#include "model/inception.h"

#include "engine/files/safetensors.h"
#include "tests/support/files.h"
#include "tests/support/paths.h"

namespace haze::model {
namespace {

using test::expect_error;

/// The recorder's formula: splitmix64 of the index and the FNV-1a hash of the name, in [0, 1).
std::vector<double> drawn(const std::string& name, std::size_t count) {
  std::uint64_t key = 0xCBF29CE484222325u;
  for (const char c : name) key = (key ^ std::uint8_t(c)) * 0x100000001B3u;
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t z = key + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    values[i] = double((z ^ (z >> 31)) >> 40) * 0x1p-24;
  }
  return values;
}

struct Layer {
  std::string name;
  std::int64_t in, out, height, width;
};

/// Every convolution, as torchvision's state dict has them.
std::vector<Layer> layers() {
  std::vector<Layer> all = {{"Conv2d_1a_3x3", 3, 32, 3, 3},
                            {"Conv2d_2a_3x3", 32, 32, 3, 3},
                            {"Conv2d_2b_3x3", 32, 64, 3, 3},
                            {"Conv2d_3b_1x1", 64, 80, 1, 1},
                            {"Conv2d_4a_3x3", 80, 192, 3, 3}};
  const auto block = [&](const std::string& name, const std::vector<Layer>& inside) {
    for (Layer l : inside) {
      l.name = name + "." + l.name;
      all.push_back(l);
    }
  };
  for (const auto& [name, in, pool] :
       {std::tuple{"Mixed_5b", 192, 32}, {"Mixed_5c", 256, 64}, {"Mixed_5d", 288, 64}})
    block(name, {{"branch1x1", in, 64, 1, 1},
                 {"branch5x5_1", in, 48, 1, 1},
                 {"branch5x5_2", 48, 64, 5, 5},
                 {"branch3x3dbl_1", in, 64, 1, 1},
                 {"branch3x3dbl_2", 64, 96, 3, 3},
                 {"branch3x3dbl_3", 96, 96, 3, 3},
                 {"branch_pool", in, pool, 1, 1}});
  block("Mixed_6a", {{"branch3x3", 288, 384, 3, 3},
                     {"branch3x3dbl_1", 288, 64, 1, 1},
                     {"branch3x3dbl_2", 64, 96, 3, 3},
                     {"branch3x3dbl_3", 96, 96, 3, 3}});
  for (const auto& [name, c] :
       {std::pair{"Mixed_6b", 128}, {"Mixed_6c", 160}, {"Mixed_6d", 160}, {"Mixed_6e", 192}})
    block(name, {{"branch1x1", 768, 192, 1, 1},
                 {"branch7x7_1", 768, c, 1, 1},
                 {"branch7x7_2", c, c, 1, 7},
                 {"branch7x7_3", c, 192, 7, 1},
                 {"branch7x7dbl_1", 768, c, 1, 1},
                 {"branch7x7dbl_2", c, c, 7, 1},
                 {"branch7x7dbl_3", c, c, 1, 7},
                 {"branch7x7dbl_4", c, c, 7, 1},
                 {"branch7x7dbl_5", c, 192, 1, 7},
                 {"branch_pool", 768, 192, 1, 1}});
  block("Mixed_7a", {{"branch3x3_1", 768, 192, 1, 1},
                     {"branch3x3_2", 192, 320, 3, 3},
                     {"branch7x7x3_1", 768, 192, 1, 1},
                     {"branch7x7x3_2", 192, 192, 1, 7},
                     {"branch7x7x3_3", 192, 192, 7, 1},
                     {"branch7x7x3_4", 192, 192, 3, 3}});
  for (const auto& [name, in] : {std::pair{"Mixed_7b", 1280}, {"Mixed_7c", 2048}})
    block(name, {{"branch1x1", in, 320, 1, 1},
                 {"branch3x3_1", in, 384, 1, 1},
                 {"branch3x3_2a", 384, 384, 1, 3},
                 {"branch3x3_2b", 384, 384, 3, 1},
                 {"branch3x3dbl_1", in, 448, 1, 1},
                 {"branch3x3dbl_2", 448, 384, 3, 3},
                 {"branch3x3dbl_3a", 384, 384, 1, 3},
                 {"branch3x3dbl_3b", 384, 384, 3, 1},
                 {"branch_pool", in, 192, 1, 1}});
  return all;
}

StateDict drawn_weights() {
  StateDict state;
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape, double scale,
                       double shift) {
    std::size_t count = 1;
    for (const auto extent : shape) count *= std::size_t(extent);
    HostTensor& t = state[name];
    t.shape = std::move(shape);
    for (const double u : drawn(name, count)) t.values.push_back(float(scale * u + shift));
  };
  for (const Layer& l : layers()) {
    const double bound = std::sqrt(6.0 / double(l.in * l.height * l.width));
    add(l.name + ".conv.weight", {l.out, l.in, l.height, l.width}, 2 * bound, -bound);
    for (const char* part : {".bn.weight", ".bn.running_var"})
      add(l.name + part, {l.out}, 0.5, 0.75);
    for (const char* part : {".bn.bias", ".bn.running_mean"})
      add(l.name + part, {l.out}, 0.4, -0.2);
  }
  state["fc.weight"] = {{1008, 1}, std::vector<float>(1008)};
  state["Conv2d_1a_3x3.bn.num_batches_tracked"] = {{}, {0}};
  return state;
}

std::vector<std::uint8_t> drawn_image(const std::string& name, std::size_t count) {
  std::vector<std::uint8_t> bytes;
  for (const double u : drawn(name, count)) bytes.push_back(std::uint8_t(u * 256));
  return bytes;
}

TEST(Inception, FeaturesAreTheRecordedOnes) {
  EXPECT_EQ(layers().size(), 94u);
  engine::Context context{CpuStream{}};
  StateDict state = drawn_weights();
  Inception network(state, CpuStream{});
  const engine::SafetensorsReader record(
      engine::disk(), test::source_dir() + "/tests/fixtures/inception.safetensors");
  for (const auto& [name, h, w] : {std::tuple{"colour", 40, 33}, {"large", 310, 350}}) {
    int calls = 0;
    const auto features =
        inception_features(context, network, drawn_image(name, std::size_t(h) * w * 3), 1, h, w, 3,
                           [&](int done, int total) { calls += done == 1 && total == 1; });
    EXPECT_EQ(calls, 1);
    // 48 layers deep, each of sums of up to 2048 terms:
    // 1e-6 of a sum's size a layer, of both sides.
    test::expect_close(features, record.read_f32(record.at(name)), 1e-4, 1e-4, name);
  }
  const auto grey = drawn_image("grey", 12 * 9);
  std::vector<std::uint8_t> colour;
  for (const std::uint8_t byte : grey) colour.insert(colour.end(), 3, byte);
  test::expect_close(inception_features(context, network, grey, 1, 12, 9, 1),
                     inception_features(context, network, colour, 1, 12, 9, 3), 1e-4, 1e-4,
                     "grey is repeated");
  state["Mixed_8a.conv.weight"] = {{1}, {0}};
  expect_error<InputError>([&] { Inception(state, CpuStream{}); },
                           "1 tensors that it does not have");
}

TEST(Inception, RefusesOtherFiles) {
  StateDict state;
  state["Conv2d_1a_3x3.conv.weight"] = {{32, 3, 3, 1}, std::vector<float>(288)};
  expect_error<InputError>([&] { Inception(state, CpuStream{}); },
                           "missing: Conv2d_1a_3x3.conv.weight (of another shape), "
                           "Conv2d_1a_3x3.bn.weight, ");
}

}  // namespace
}  // namespace haze::model
