// SPDX-License-Identifier: MIT
// every_key_test.cpp — every configuration key changes what it is for, in the program as a user
// runs it: were a key read and then ignored, its case here would be red.
#include <algorithm>

#include "apps/config/keys.h"
#include "apps/image/png.h"
#include "tests/apps/tiny_run.h"

namespace haze::test {
namespace {

using Strings = std::vector<std::string>;

/// What a key shows in, each harder to change than the one after it: a key of `samples`, say, must
/// leave the trained weights and their averages as they are.
enum class Shows { outcome, weights, ema, samples, folder };

struct Case {
  const char* key;
  Strings values;  // each must differ from the base's and from the others'
  Shows in = Shows::weights;
  Strings base = {};  // settings of the run that it is held against, and of its own
  const char* config = "tiny.json";
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.key << '=' << c.values[0]; }

// Three steps and a chain of 20 times, unless a case says otherwise.
const std::vector<Case> kCases = {
    {"model.type", {"conv_denoiser"}, Shows::weights, {}, "plain.json"},
    {"model.image_channels", {"3"}, Shows::outcome, {"data.spec=synthetic:shapes:8"}},
    {"model.hidden", {"8"}, Shows::weights, {}, "points.json"},
    {"model.widths", {"[8]"}, Shows::weights, {"model.type=conv_denoiser"}, "plain.json"},
    {"model.n_channels", {"16"}},
    {"model.ch_mults", {"[1,1]"}},
    {"model.is_attn", {"[true,true]"}},
    {"model.n_blocks", {"2"}},
    {"model.norm_groups", {"2"}},
    {"model.dropout", {"0", "0.5"}},
    {"model.num_classes", {"10"}},
    {"model.self_condition", {"true"}},
    {"model.block_out_channels", {"[8,16]"}, Shows::weights, {}, "ddpm.json"},
    {"model.attention", {"[true,true]"}, Shows::weights, {}, "ddpm.json"},
    {"model.layers_per_block", {"2"}, Shows::weights, {}, "ddpm.json"},
    {"model.attention_head_dim", {"4"}, Shows::weights, {}, "ddpm.json"},
    {"model.norm_eps", {"0.1"}, Shows::weights, {}, "ddpm.json"},
    {"model.downsample_padding", {"1"}, Shows::weights, {}, "ddpm.json"},
    {"model.flip_sin_to_cos", {"true"}, Shows::weights, {}, "ddpm.json"},
    {"model.freq_shift", {"0"}, Shows::weights, {}, "ddpm.json"},

    {"diffusion.steps", {"30"}},
    {"diffusion.schedule", {"cosine", "sigmoid", "sigmoid_alpha_bar"}},
    {"diffusion.beta_start", {"0.01"}},
    {"diffusion.beta_end", {"0.5"}},
    {"diffusion.prediction", {"x0", "v"}},
    {"diffusion.variance", {"beta_tilde"}, Shows::samples},
    {"diffusion.variance", {"learned"}},
    {"diffusion.clip_x0", {"true"}, Shows::samples},
    {"diffusion.noise_at_t0", {"false"}, Shows::samples},
    {"diffusion.start", {"schedule"}, Shows::samples},

    {"data.spec", {"synthetic:digits:65"}},
    {"data.image_size", {"[12,16]"}},
    {"data.range", {"zero_one"}},
    {"data.label", {"3", "4"}},
    {"data.skip_bad", {"true"}, Shows::outcome, {"data.spec=images:FOLDER/bad"}},

    {"train.batch_size", {"5"}},
    {"train.accumulate", {"2", "4"}},
    {"train.steps", {"2"}},
    {"train.learning_rate", {"0.002"}},
    {"train.warmup_steps", {"2"}},
    {"train.lr_decay", {"cosine"}},
    {"train.grad_clip", {"0", "0.01"}, Shows::weights, {"train.grad_clip=0.1"}},
    // Norms are judged once 51 of them are known.
    {"train.spike_factor", {"1"}, Shows::weights, {"train.steps=56", "train.batch_size=2"}},
    {"train.adam_beta1", {"0.5"}},
    {"train.adam_beta2", {"0.5"}},
    {"train.adam_eps", {"0.1"}},
    {"train.weight_decay", {"0.5"}},
    {"train.ema_decay", {"0", "0.5"}, Shows::ema},
    {"train.ema_half_life", {"10", "100"}, Shows::ema, {"train.ema_decay=0"}},
    {"train.ema_warmup", {"true"}, Shows::ema},
    {"train.loss_weight", {"min_snr"}},
    {"train.min_snr_gamma", {"0.5"}, Shows::weights, {"train.loss_weight=min_snr"}},
    {"train.vlb_weight", {"1"}, Shows::weights, {"diffusion.variance=learned"}},
    {"train.timesteps", {"antithetic"}},
    // The losses of a time count once ten of it are known.
    {"train.timesteps",
     {"importance"},
     Shows::weights,
     {"diffusion.steps=2", "train.batch_size=32", "train.steps=4"}},
    {"train.label_dropout", {"0.5", "1"}, Shows::weights, {"model.num_classes=10"}},
    {"train.flip", {"false"}},
    {"train.seed", {"1"}},
    {"train.precision", {"bf16"}},
    {"train.log_every", {"2"}, Shows::folder},
    {"train.sample_every", {"1", "3"}, Shows::folder},
    {"train.sample_count", {"5"}, Shows::folder, {"train.sample_every=3"}},
    {"train.checkpoint_every", {"1"}, Shows::folder},
    {"train.keep_checkpoints", {"2"}, Shows::folder, {"train.checkpoint_every=1", "train.steps=4"}},
};

class EveryKey : public TinyRun, public testing::WithParamInterface<Case> {
 protected:
  EveryKey() {
    const std::string rest = R"(
      "diffusion": {"steps": 20},
      "data": {"spec": "synthetic:digits:64", "image_size": [8, 8]},
      "train": {"batch_size": 4, "learning_rate": 0.001, "checkpoint_every": 0, "sample_every": 0}})";
    write(at("ddpm.json"), R"({
      "model": {"type": "ddpm_unet", "image_channels": 1, "block_out_channels": [8, 12],
                "attention": [false, true], "layers_per_block": 1, "norm_groups": 4},)" +
                               rest);
    write(at("plain.json"),
          R"({"model": {"type": "linear_denoiser", "image_channels": 1},)" + rest);
    write(at("points.json"), R"({"model": {"type": "point_mlp"}, "diffusion": {"steps": 20},
      "data": {"spec": "points:moons:64"},
      "train": {"batch_size": 4, "checkpoint_every": 0, "sample_every": 0}})");
  }

  /// A folder with a picture and a file that is none.
  void make_bad_folder() const {
    fs::create_directory(at("bad"));
    const auto png = apps::encode_png({8, 8, 1, std::vector<std::uint8_t>(64, 99)});
    write(at("bad/a.png"), std::string(png.begin(), png.end()));
    write(at("bad/b.png"), "no picture");
  }

  /// What a run with these settings leaves, by Shows.
  std::vector<std::string> observed(const std::string& run, const Strings& settings,
                                    Shows in) const {
    Strings arguments = {"train", "--config", at(GetParam().config), "--out",
                         at(run), "--set",    "train.steps=3"};
    for (std::string s : settings) {
      if (const auto p = s.find("FOLDER"); p != s.npos) s.replace(p, 6, at(""));
      arguments.insert(arguments.end(), {"--set", s});
    }
    const Outcome got = haze(arguments);
    if (in == Shows::outcome) return {std::to_string(got.code)};
    EXPECT_EQ(got.code, 0) << got.err;
    std::vector<std::string> seen = {"0", tensors(at(run), "raw")};
    if (in >= Shows::ema) seen.push_back(tensors(at(run), "ema"));
    if (in == Shows::samples) {
      EXPECT_EQ(haze({"sample", "--checkpoint", at(run), "--n", "2", "--seed", "3", "--out",
                      at("g.png"), "--save-tensors", at("s.safetensors")})
                    .code,
                0);
      seen.push_back(contents(at("s.safetensors")));
      seen.back().erase(0, seen.back().find("}}"));  // its recipe names the run
    }
    if (in == Shows::folder) {
      seen.push_back(std::to_string(lines(contents(at(run + "/metrics.jsonl"))).size()));
      std::vector<std::string> files;
      for (const auto& file : fs::recursive_directory_iterator(at(run)))
        files.push_back(file.path().filename().string() + (file.path().extension() == ".png"
                                                               ? std::to_string(file.file_size())
                                                               : ""));
      std::ranges::sort(files);
      for (const std::string& name : files) seen.back() += ' ' + name;
    }
    return seen;
  }

  /// The exported weights, or why there are none.
  std::string tensors(const std::string& run, const char* which) const {
    const Outcome got = haze(
        {"export", "--checkpoint", run, "--weights", which, "--out", at("weights.safetensors")});
    return got.code == 0 ? contents(at("weights.safetensors")) : "none";
  }
};

TEST_P(EveryKey, ShowsInWhatItIsForAndInNothingBefore) {
  const Case& c = GetParam();
  make_bad_folder();
  std::vector<std::vector<std::string>> all = {observed("base", c.base, c.in)};
  for (const std::string& value : c.values) {
    Strings settings = c.base;
    settings.push_back(std::string(c.key) + "=" + value);
    all.push_back(observed("run" + std::to_string(all.size()), settings, c.in));
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t k = 0; k < i; ++k) {
      const std::vector<std::string>&a = all[i], &b = all[k];
      ASSERT_EQ(a.size(), b.size());
      for (std::size_t s = 0; s + 1 < a.size(); ++s)
        EXPECT_TRUE(a[s] == b[s]) << c.key << " changes more than it should";
      EXPECT_FALSE(a.back() == b.back()) << c.key << ": values " << i << " and " << k;
    }
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.key + ("_" + info.param.values[0]);
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Keys, EveryKey, testing::ValuesIn(kCases), name_of);

TEST(KeyCases, EveryKeyHasOneAndAHelp) {
  for (const apps::Key& key : apps::keys()) {
    EXPECT_TRUE(std::ranges::any_of(kCases, [&](const Case& c) { return c.key == key.name; }))
        << key.name << " is tested by no case above";
    EXPECT_FALSE(key.help.empty()) << key.name;
  }
}

}  // namespace
}  // namespace haze::test
