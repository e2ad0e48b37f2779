// SPDX-License-Identifier: MIT
// config.h — what a network, its diffusion process and its training are made of: plain structs,
// filled from JSON by apps/config. Names and defaults are the JSON keys'.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace haze::model {

/// The U-Net families differ in how they spell widths, attention, up- and downsampling and in their
/// weights' names (docs/models.md); one builder makes both.
/// The others are the small networks of introductory tutorials, each in a file of its own.
enum class Family : std::uint8_t { labml, ddpm, point_mlp, conv_denoiser, linear_denoiser };

/// How many time embeddings and output channels a network has follows from the diffusion process,
/// and for which size of images it is made from the data: time_steps, learned_variance,
/// image_height and image_width are no keys of the model section.
struct NetworkConfig {
  Family family = Family::labml;  // JSON "type": "labml_unet", "ddpm_unet", "point_mlp", ...
  int image_channels = 3;
  int num_classes = 0;          // 0: unconditional; else classes 0 .. num_classes-1 and "none"
  bool self_condition = false;  // the input is [x_t | an earlier prediction of x0]
  int time_steps = 1000;        // = diffusion.steps
  bool learned_variance =
      false;  // = (diffusion.variance == learned): the output is [prediction | v]
  int image_height = 0, image_width = 0;  // = data.image_size; 0: not known, or any
  int hidden = 128;                       // point_mlp, linear_denoiser: width of the hidden layers
  std::vector<int> widths = {64, 128, 128};  // conv_denoiser: channels between its convolutions
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

  int in_channels() const { return image_channels * (self_condition ? 2 : 1); }
  int out_channels() const { return image_channels * (learned_variance ? 2 : 1); }
  /// The label that stands for "no class": the last row of the class embedding.
  int no_class() const { return num_classes; }
  bool is_unet() const { return family == Family::labml || family == Family::ddpm; }
  /// Of the U-Nets.
  int levels() const {
    return int(family == Family::labml ? ch_mults.size() : block_out_channels.size());
  }
  /// Height and width must be multiples of this: one halving between neighbouring levels.
  int size_multiple() const { return 1 << (levels() - 1); }
};

/// Two schedules are called "sigmoid" elsewhere: diffusers' (GeoDiff) is one of beta, lucidrains'
/// (Jabri et al. 2022, arXiv:2212.11972) one of alpha_bar.
enum class ScheduleKind : std::uint8_t { linear, cosine, sigmoid, sigmoid_alpha_bar };
/// sigma_t^2 of the DDPM sampler; learned: between the two, per element (Nichol & Dhariwal 2021).
enum class Variance : std::uint8_t { beta, beta_tilde, learned };
/// What the network predicts; v = sqrt(alpha_bar) eps
/// - sqrt(1 - alpha_bar) x0 (Salimans & Ho 2022).
enum class Prediction : std::uint8_t { eps, x0, v };

/// The noise that a chain starts from. unit: N(0, 1), right where the schedule leaves nothing of
/// the image. schedule: N(0, 1 - alpha_bar) of the first level, for schedules that stop before that
/// and data that is small beside the noise there.
enum class Start : std::uint8_t { unit, schedule };

struct DiffusionConfig {
  int steps = 1000;
  ScheduleKind schedule = ScheduleKind::linear;
  double beta_start = 1e-4, beta_end = 0.02;  // linear; sigmoid: the range it is scaled to
  Prediction prediction = Prediction::eps;
  Variance variance = Variance::beta;
  bool clip_x0 = false;      // clip the predicted x0 to the data's range while sampling
  bool noise_at_t0 = false;  // labml adds noise in the last step too
  Start start = Start::unit;
};

enum class LrDecay : std::uint8_t { none, cosine };
enum class LossWeight : std::uint8_t { none, min_snr };
/// How t is drawn. antithetic: t and T-1-t in turn. importance: in proportion to the root of the
/// mean square of each t's last losses (Nichol & Dhariwal 2021, eq. 18).
enum class Timesteps : std::uint8_t { uniform, antithetic, importance };

struct TrainConfig {
  int batch_size = 64;
  int steps = 1000;
  double learning_rate = 2e-4;
  int warmup_steps = 0;
  LrDecay lr_decay = LrDecay::none;
  double grad_clip = 0;     // largest global norm of the gradient; 0: no clipping
  double spike_factor = 0;  // steps with a norm above so many times its running median are skipped;
                            // 0: none is
  int accumulate = 1;       // micro-batches per step; batch_size is the whole batch
  double ema_decay = 0;     // 0: no EMA, unless by half-life
  double ema_half_life = 0;  // in images, in place of ema_decay: decay = 2^(-batch/half_life)
  bool ema_warmup = false;   // short at first: min(decay, (1+step)/(10+step)), or a half-life of at
                             // most 5 % of the images seen (Karras et al. 2022)
  LossWeight loss_weight = LossWeight::none;
  double min_snr_gamma = 5;   // Hang et al. 2023, arXiv:2303.09556
  double vlb_weight = 0.001;  // of the variational bound beside the simple loss, learned variance
  Timesteps timesteps = Timesteps::uniform;
  double label_dropout = 0.1;  // probability of training an image as "no class"
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_eps = 1e-8, weight_decay = 0;
  bool flip = false;  // random horizontal flips
  bool keeps_ema() const { return ema_decay > 0 || ema_half_life > 0; }
  int checkpoint_every = 1000, keep_checkpoints = 3, sample_every = 1000, log_every = 50;
  int sample_count = 0;  // images in a sample grid; 0: 64, or 2000 of 2-D points
};

}  // namespace haze::model
