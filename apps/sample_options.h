// SPDX-License-Identifier: MIT
// sample_options.h — what to sample from and how: the options of every command that draws.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/config/config.h"

namespace haze::apps {

struct SampleOptions {
  std::string checkpoint, out = "grid.png", noise, save_tensors, animation;
  bool ema = true, ema_asked = false, fusion = true, metadata = true;
  bool overwrite = false;                     // of an earlier call's images
  std::optional<model::SamplerKind> sampler;  // none: the command's usual one
  bool all_samplers = false;                  // to compare
  model::Spacing spacing = model::Spacing::linspace;
  std::string label;  // a number, "each", "none" or "" (none)
  int n = 64, steps = 0, batch = 64;
  std::vector<int> all_steps;  // more than one only to compare
  double eta = 0, guidance = 1, rescale = 0;
  std::uint64_t seed = 0;
  std::optional<Precision> precision;  // none: as trained
};

}  // namespace haze::apps
