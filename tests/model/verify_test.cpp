// SPDX-License-Identifier: MIT
// verify_test.cpp — every recorded case under tests/fixtures, and the original's own records where
// they lie beside the checkout; and that verify() can say no.
#include "model/verify/verify.h"

#include <cstdlib>
#include <filesystem>

#include "tests/model/networks.h"
#include "tests/model/records.h"
#include "tests/support/paths.h"

namespace haze::model {
namespace {

namespace fs = std::filesystem;
using test::expect_input_error, test::read_state, test::RecordedCase;

const std::string kFixtures = test::source_dir() + "/tests/fixtures/";

std::string table(const Verification& v) {
  std::string text;
  for (const Comparison& c : v.comparisons)
    if (!c.ok)
      text += cat("\n  ", c.name, ": max ", c.max_difference, " of ", c.largest, ", rms ",
                  c.rms_difference, ", allowed ", c.tolerance, " and rms ", c.rms_tolerance);
  return text;
}

/// Runs every record STEM.*.safetensors of a case; returns how many there were.
int expect_verified(const RecordedCase& c, const std::string& stem) {
  engine::Context context{test::device()};
  const StateDict weights = read_state(stem + ".weights.safetensors");
  int records = 0;
  for (const char* kind : {"forward", "grad", "sample", "train"}) {
    const std::string path = cat(stem, '.', kind, ".safetensors");
    if (!fs::exists(path)) continue;
    const StateDict record = read_state(path);
    StateDict expected;
    if (kind == std::string("train")) expected = read_state(stem + ".trained.safetensors");
    const Verification v = verify(context, c.model, c.diffusion, weights, record,
                                  expected.empty() ? nullptr : &expected);
    EXPECT_STREQ(name_of(v.kind), kind);
    EXPECT_TRUE(v.ok()) << path << table(v);
    for (const auto& [name, t] : record) {
      const bool input = name == "x" || name == "t" || name == "x0" || name == "noise" ||
                         name == "x_T" || name == "z" || name == "adam_eps" ||
                         name.starts_with("bf16_error.");
      if (input) continue;
      EXPECT_EQ(v.computed.at(name).shape, t.shape) << name;
    }
    for (const auto& [name, t] : expected) EXPECT_EQ(v.computed.at(name).shape, t.shape) << name;
    double worst = 0;
    for (const Comparison& one : v.comparisons)
      worst = std::max(worst, one.max_difference / one.tolerance);
    std::printf("%s: %zu tensors, worst at %.3f of its tolerance\n",
                fs::path(path).filename().c_str(), v.comparisons.size(), worst);
    ++records;
  }
  return records;
}

class Recorded : public testing::TestWithParam<const char*> {};

TEST_P(Recorded, IsReproduced) {
  const std::string stem = kFixtures + GetParam();
  EXPECT_GE(expect_verified(test::read_case(stem + ".json"), stem), 1);
}

/// At most twice the error of a bf16 run of PyTorch (autocast), tensor by tensor.
TEST_P(Recorded, IsReproducedInBf16AsWellAsInPyTorch) {
  const std::string stem = kFixtures + GetParam();
  const RecordedCase c = test::read_case(stem + ".json");
  engine::Context context{test::device(), DType::bf16};
  const StateDict weights = read_state(stem + ".weights.safetensors");
  for (const char* kind : {"forward", "grad"}) {
    const std::string path = cat(stem, '.', kind, ".safetensors");
    if (!fs::exists(path)) continue;
    const StateDict record = read_state(path);
    const Verification v = verify(context, c.model, c.diffusion, weights, record);
    EXPECT_TRUE(v.ok()) << path << table(v);
    std::size_t expected = 0;
    for (const auto& [name, t] : record) expected += name.starts_with("bf16_error.");
    EXPECT_EQ(v.comparisons.size(), expected);
    double squares = 0;
    const Comparison* worst = &v.comparisons[0];
    for (const Comparison& one : v.comparisons) {
      const auto ratio = [](const Comparison& r) { return 2 * r.rms_difference / r.rms_tolerance; };
      squares += ratio(one) * ratio(one);
      if (ratio(one) > ratio(*worst)) worst = &one;
    }
    std::printf("%s in bf16: %.2f times PyTorch's error, at worst %.2f (%s)\n",
                fs::path(path).filename().c_str(), std::sqrt(squares / double(expected)),
                2 * worst->rms_difference / worst->rms_tolerance, worst->name.c_str());
  }
}

/// tf32 rounds factors to 2^-11, an eighth of bf16's unit: a quarter of a bf16 run's error is twice
/// what it may be expected to be.
TEST(Verify, InTf32WithinAQuarterOfTheErrorOfBf16) {
  Stream stream = test::device();
  bool* const tf32 = tf32_of(stream);
  if (!tf32) GTEST_SKIP() << "the CPU has no tf32";
  *tf32 = true;
  for (const char* name : {"labml_one_level", "ddpm_google"}) {
    const std::string stem = kFixtures + name;
    const RecordedCase c = test::read_case(stem + ".json");
    engine::Context context{stream};
    const StateDict weights = read_state(stem + ".weights.safetensors");
    const StateDict record = read_state(stem + ".forward.safetensors");
    const Verification v = verify(context, c.model, c.diffusion, weights, record);
    EXPECT_TRUE(v.ok()) << name << table(v);
    const double share = v.comparisons.at(0).rms_difference / v.comparisons.at(0).rms_tolerance;
    EXPECT_GT(share, 0.01) << "was tf32 used at all?";
    std::printf("%s in tf32: %.3f of PyTorch's error in bf16\n", name, share / 4);
  }
  const std::string stem = kFixtures + "ddpm_google";
  const RecordedCase c = test::read_case(stem + ".json");
  engine::Context context{stream};
  const StateDict weights = read_state(stem + ".weights.safetensors"),
                  record = read_state(stem + ".sample.safetensors");
  expect_input_error([&] { verify(context, c.model, c.diffusion, weights, record); },
                     "--precision: tf32; forward and grad records say what it may change");
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Recorded,
                         testing::Values("labml_rgb_rect", "labml_mults_113", "labml_two_blocks",
                                         "labml_three_blocks", "labml_one_level", "ddpm_google",
                                         "ddpm_class_default", "ddpm_three_levels",
                                         "ddpm_every_level", "point_mlp", "conv_denoiser",
                                         "linear_denoiser"),
                         [](const auto& i) { return std::string(i.param); });

/// The composition of every fused op, the concatenation of skips among them, is the same network.
TEST(Verify, WithoutFusionTheNumbersHoldToo) {
  for (const char* name : {"labml_two_blocks", "ddpm_google"}) {
    const std::string stem = kFixtures + name;
    const RecordedCase c = test::read_case(stem + ".json");
    engine::Context context{test::device()};
    context.fusion = false;
    const Verification v =
        verify(context, c.model, c.diffusion, read_state(stem + ".weights.safetensors"),
               read_state(stem + ".grad.safetensors"));
    EXPECT_TRUE(v.ok()) << name << table(v);
  }
}

TEST(Verify, EveryFixtureIsInTheListAbove) {
  int configs = 0;
  for (const auto& entry : fs::directory_iterator(kFixtures))
    configs += entry.path().extension() == ".json";
  EXPECT_EQ(configs, 12);
}

TEST(Verify, OriginalsRecords) {
  const char* given = std::getenv("HAZE_REFERENCE_DIR");
  const fs::path folder = given ? given : test::source_dir() + "/../shared/reference";
  const std::string stem = (folder / "unet_gray16").string();
  if (!fs::exists(stem + ".weights.safetensors"))
    GTEST_SKIP() << "no records of the original in " << folder << " (HAZE_REFERENCE_DIR)";
  RecordedCase c;
  c.model.image_channels = 1;
  c.model.ch_mults = {1, 2};
  c.model.is_attn = {false, true};
  c.model.n_blocks = 1;
  c.diffusion.steps = 20;
  EXPECT_EQ(expect_verified(c, stem), 4);
}

/// The comparison that is not ok, or nothing.
std::string denied(const RecordedCase& c, const StateDict& weights, const StateDict& record) {
  engine::Context context{test::device()};
  const Verification v = verify(context, c.model, c.diffusion, weights, record);
  std::string names;
  for (const Comparison& one : v.comparisons)
    if (!one.ok) names += one.name + ' ';
  EXPECT_EQ(names.empty(), v.ok());
  return names;
}

TEST(Verify, SaysNo) {
  const std::string stem = kFixtures + "ddpm_google";
  const RecordedCase c = test::read_case(stem + ".json");
  const StateDict weights = read_state(stem + ".weights.safetensors");
  const StateDict forward = read_state(stem + ".forward.safetensors");
  const StateDict grad = read_state(stem + ".grad.safetensors");

  StateDict changed = weights;
  changed.at("mid_block.attentions.0.to_v.bias").values[3] += 0.01f;
  EXPECT_EQ(denied(c, changed, forward), "eps ");
  RecordedCase other = c;
  other.model.downsample_padding = 1;
  EXPECT_EQ(denied(other, weights, forward), "eps ");
  other = c;
  other.model.flip_sin_to_cos = true;
  EXPECT_EQ(denied(other, weights, forward), "eps ");

  StateDict record = forward;
  record.at("eps").values[5] = NAN;
  EXPECT_EQ(denied(c, weights, record), "eps ");
  record = grad;
  record.at("loss").values[0] += 2e-4f;
  auto& g = record.at("grad.conv_in.weight").values;
  g[7] += float(2e-3 * test::largest(g));
  EXPECT_EQ(denied(c, weights, record), "grad.conv_in.weight loss ");
}

TEST(Verify, SaysNoInBf16) {
  const std::string stem = kFixtures + "ddpm_google";
  const RecordedCase c = test::read_case(stem + ".json");
  const StateDict weights = read_state(stem + ".weights.safetensors");
  engine::Context context{test::device(), DType::bf16};
  StateDict record = read_state(stem + ".grad.safetensors");
  // A third of PyTorch's error: twice that is less than anybody's bf16.
  record.at("bf16_error.loss").values[0] /= 1000;
  record.at("bf16_error.grad.conv_in.weight").values[0] /= 3;
  record.at("grad.conv_out.bias").values[0] = NAN;
  std::string names;
  for (const Comparison& one : verify(context, c.model, c.diffusion, weights, record).comparisons)
    if (!one.ok) names += one.name + ' ';
  EXPECT_EQ(names, "grad.conv_in.weight grad.conv_out.bias loss ");
  record.erase("bf16_error.grad.conv_in.bias");
  expect_input_error([&] { verify(context, c.model, c.diffusion, weights, record); },
                     "record: it has no tensor bf16_error.grad.conv_in.bias");
  record = read_state(stem + ".sample.safetensors");
  expect_input_error([&] { verify(context, c.model, c.diffusion, weights, record); },
                     "--precision: bf16; forward and grad records say what it may change");
}

TEST(Verify, RefusesRecordsThatDoNotFit) {
  const std::string stem = kFixtures + "ddpm_google";
  const RecordedCase c = test::read_case(stem + ".json");
  const StateDict weights = read_state(stem + ".weights.safetensors");
  engine::Context context{test::device()};
  const auto refuses = [&](const char* kind, auto change, const std::string& text) {
    StateDict record = read_state(cat(stem, '.', kind, ".safetensors"));
    change(record);
    expect_input_error([&] { verify(context, c.model, c.diffusion, weights, record); }, text);
  };
  using R = StateDict;
  refuses(
      "forward", [](R& r) { r.erase("eps"); }, "record: not recognised");
  refuses(
      "forward", [](R& r) { r.at("t").values[0] = 1.5f; }, "record: t holds 1.5");
  refuses(
      "forward",
      [](R& r) {
        r.at("t").shape = {1, 2};
      },
      "record: t [1,2]; [2] expected");
  refuses(
      "forward",
      [](R& r) {
        r.at("x").shape = {2, 1, 24, 8};
      },
      "the network has 3 image channels");
  refuses(
      "forward", [](R& r) { r.at("x").values.pop_back(); }, "record: x has 383 values");
  refuses(
      "forward",
      [](R& r) {
        r.at("eps").shape = {2, 3, 4, 16};
      },
      "record: eps [2,3,4,16]");
  refuses(
      "grad", [](R& r) { r.at("t").values[1] = 8; }, "whole numbers from 0 to 7");
  refuses(
      "grad", [](R& r) { r.erase("grad.conv_in.bias"); }, "it has no grad.conv_in.bias");
  refuses(
      "grad",
      [](R& r) {
        r["grad.other"] = {{1}, {0}};
      },
      "record: grad.other; the network has no");
}

}  // namespace
}  // namespace haze::model
