// config.h — what a network, its diffusion process and its training are made of: plain structs,
// filled from JSON by apps/config. Names and defaults are the JSON keys'.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace haze::model {

/// The two families differ in how they spell widths, attention, up- and downsampling and in their
/// weights' names (docs/models.md); one builder makes both.
enum class Family : std::uint8_t { labml, ddpm };

struct UNetConfig {
  Family family = Family::labml;  // JSON "type": "labml_unet" | "ddpm_unet"
  int image_channels = 3;
  int norm_groups = 32;
  float dropout = 0.1f;

  // labml_unet: widths are cumulative, out = in * ch_mults[level], starting from n_channels.
  int n_channels = 64;
  std::vector<int> ch_mults = {1, 2, 2, 4};
  std::vector<bool> is_attn = {false, false, false, true};
  int n_blocks = 2;

  // ddpm_unet: widths are absolute. Names follow diffusers' UNet2DModel.
  std::vector<int> block_out_channels = {128, 256, 256, 256};
  std::vector<bool> attention = {false, true, false, false};  // per level; the middle always has it
  int layers_per_block = 2;
  int attention_head_dim = 0;  // 0: one head as wide as the channels
  float norm_eps = 1e-6f;
  int downsample_padding = 0;  // 0: pad right and bottom by one; 1: symmetric
  bool flip_sin_to_cos = false;
  float freq_shift = 1;

  int levels() const {
    return int(family == Family::labml ? ch_mults.size() : block_out_channels.size());
  }
  /// Height and width must be multiples of this: one halving between neighbouring levels.
  int size_multiple() const { return 1 << (levels() - 1); }
};

enum class ScheduleKind : std::uint8_t { linear, cosine, sigmoid };
enum class Variance : std::uint8_t { beta, beta_tilde };  // sigma_t^2 of the DDPM sampler

struct DiffusionConfig {
  int steps = 1000;
  ScheduleKind schedule = ScheduleKind::linear;
  double beta_start = 1e-4, beta_end = 0.02;  // linear; sigmoid: the range it is scaled to
  Variance variance = Variance::beta;
  bool clip_x0 = false;      // clip the predicted x0 to the data's range while sampling
  bool noise_at_t0 = false;  // labml adds noise in the last step too
};

enum class LrDecay : std::uint8_t { none, cosine };

struct TrainConfig {
  int batch_size = 64;
  int steps = 1000;
  double learning_rate = 2e-4;
  int warmup_steps = 0;
  LrDecay lr_decay = LrDecay::none;
  double grad_clip = 0;  // largest global norm of the gradient; 0: no clipping
  int accumulate = 1;    // micro-batches per step; batch_size is the whole batch
  double ema_decay = 0;  // 0: no EMA
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_eps = 1e-8, weight_decay = 0;
  bool flip = false;  // random horizontal flips
  int checkpoint_every = 1000, keep_checkpoints = 3, sample_every = 1000, log_every = 50;
};

}  // namespace haze::model
