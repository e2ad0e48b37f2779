// SPDX-License-Identifier: MIT
// records.h — recorded cases on the disk: configuration, weights and records.
#pragma once
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/files/safetensors.h"
#include "model/verify/verify.h"

namespace haze::test {

/// A safetensors file as a state dict; integers become floats.
inline model::StateDict read_state(const std::string& path) {
  const engine::SafetensorsReader reader(engine::disk(), path);
  model::StateDict state;
  for (const auto& entry : reader.tensors()) {
    model::HostTensor& t = state[entry.name];
    t.shape = entry.shape;
    if (entry.dtype.starts_with('I')) {
      const auto values = reader.read_i32(entry);
      t.values.assign(values.begin(), values.end());
    } else {
      t.values = reader.read_f32(entry);
    }
  }
  return state;
}

struct RecordedCase {
  model::NetworkConfig model;
  model::DiffusionConfig diffusion;
};

/// NAME.json, as tests/pytorch/record.py writes it.
inline RecordedCase read_case(const std::string& path) {
  std::ifstream file(path);
  const auto json = nlohmann::json::parse(file);
  const auto &m = json.at("model"), &d = json.at("diffusion");
  RecordedCase c;
  model::NetworkConfig& u = c.model;
  constexpr const char* kTypes[] = {"labml_unet", "ddpm_unet", "point_mlp", "conv_denoiser",
                                    "linear_denoiser"};
  const auto type = std::ranges::find(kTypes, m.at("type").get<std::string>());
  u.family = model::Family(type - std::begin(kTypes));
  EXPECT_NE(type, std::end(kTypes));
  m.at("image_channels").get_to(u.image_channels);
  u.hidden = m.value("hidden", u.hidden);
  u.widths = m.value("widths", u.widths);
  u.norm_groups = m.value("norm_groups", 32);
  if (u.family == model::Family::labml) {
    m.at("n_channels").get_to(u.n_channels);
    m.at("ch_mults").get_to(u.ch_mults);
    u.is_attn = m.at("is_attn").get<std::vector<bool>>();
    m.at("n_blocks").get_to(u.n_blocks);
  } else if (u.family == model::Family::ddpm) {
    m.at("block_out_channels").get_to(u.block_out_channels);
    u.attention = m.at("attention").get<std::vector<bool>>();
    m.at("layers_per_block").get_to(u.layers_per_block);
    m.at("attention_head_dim").get_to(u.attention_head_dim);
    m.at("norm_eps").get_to(u.norm_eps);
    m.at("downsample_padding").get_to(u.downsample_padding);
    m.at("flip_sin_to_cos").get_to(u.flip_sin_to_cos);
    m.at("freq_shift").get_to(u.freq_shift);
  }
  d.at("steps").get_to(c.diffusion.steps);
  d.at("beta_start").get_to(c.diffusion.beta_start);
  d.at("beta_end").get_to(c.diffusion.beta_end);
  c.diffusion.clip_x0 = d.value("clip_x0", false);
  if (d.at("variance") == "beta_tilde") c.diffusion.variance = model::Variance::beta_tilde;
  return c;
}

}  // namespace haze::test
