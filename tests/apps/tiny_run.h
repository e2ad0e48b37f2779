// SPDX-License-Identifier: MIT
// tiny_run.h — a training run that takes a moment, for tests of the program around it.
#pragma once
#include <cstdio>

#include "tests/apps/program.h"

namespace haze::test {

class TinyRun : public testing::Test {
 protected:
  TinyRun() {
    write(at("tiny.json"), R"({
      "model": {"type": "labml_unet", "image_channels": 1, "n_channels": 8, "ch_mults": [1, 2],
                "is_attn": [false, true], "n_blocks": 1, "norm_groups": 4, "dropout": 0.1},
      "diffusion": {"steps": 20},
      "data": {"spec": "synthetic:digits:64", "image_size": [8, 8]},
      "train": {"batch_size": 4, "learning_rate": 0.001, "ema_decay": 0.9, "grad_clip": 1, "flip": true,
                "checkpoint_every": 0, "sample_every": 0, "log_every": 1}})");
  }
  std::string at(const std::string& name) const { return folder_ / name; }
  std::string checkpoint(const std::string& run, int step) const {
    char name[40];
    std::snprintf(name, sizeof name, "/checkpoints/step-%08d.safetensors", step);
    return at(run) + name;
  }
  std::vector<std::string> arguments(const std::string& run, int steps,
                                     const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"train", "--config", at("tiny.json"),      "--out",
                                    at(run), "--steps",  std::to_string(steps)};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome train(const std::string& run, int steps,
                const std::vector<std::string>& more = {}) const {
    return haze(arguments(run, steps, more));
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace haze::test
