// SPDX-License-Identifier: MIT
#include "apps/config/aliases.h"

#include <algorithm>

#include "apps/suggest.h"
#include "kernels/base/check.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

struct Alias {
  const char* words;  // separated by blanks
  const char* keys;   // likewise; those of the network's family count
  const char* note = "";
};

constexpr const char* kEpoch = " (in steps: an epoch is the number of images / train.batch_size)";

constexpr Alias kAliases[] = {
    {"lr train_lr base_lr max_lr", "train.learning_rate"},
    {"batch bs batchsize batches train_batch_size per_device_train_batch_size", "train.batch_size"},
    {"epoch epochs num_epochs n_epochs max_epochs num_train_epochs", "train.steps", kEpoch},
    {"iters iterations num_iters max_steps total_steps n_steps num_steps train_num_steps "
     "max_train_steps lr_anneal_steps",
     "train.steps"},
    {"timesteps num_timesteps n_timesteps t num_train_timesteps diffusion_steps chain_length",
     "diffusion.steps"},
    {"ema ema_rate ema_max_decay", "train.ema_decay"},
    {"ema_halflife ema_halflife_kimg", "train.ema_half_life"},
    {"random_seed manual_seed", "train.seed"},
    {"channels in_channels out_channels num_channels_in",
     "model.image_channels model.n_channels model.block_out_channels"},
    {"dim base_channels model_channels num_channels ch n_feat features width",
     "model.n_channels model.block_out_channels model.hidden model.widths"},
    {"hidden_size hidden_dim hidden_units", "model.hidden"},
    {"dim_mults channel_mult channel_mults ch_mult", "model.ch_mults model.block_out_channels"},
    {"num_res_blocks n_res_blocks num_blocks res_blocks", "model.n_blocks model.layers_per_block"},
    {"attn_resolutions attention_resolutions attn_levels full_attn",
     "model.is_attn model.attention"},
    {"heads num_heads attn_heads n_heads head_dim attn_dim_head", "model.attention_head_dim"},
    {"groups num_groups resnet_block_groups norm_num_groups", "model.norm_groups"},
    {"classes n_classes num_class class_cond num_class_embeds", "model.num_classes"},
    {"self_cond", "model.self_condition"},
    {"network arch architecture unet model_type", "model.type"},
    {"beta_schedule noise_schedule sched scheduler", "diffusion.schedule"},
    {"objective parameterization prediction_type pred predict parametrization",
     "diffusion.prediction"},
    {"learn_sigma variance_type sigma", "diffusion.variance"},
    {"clip clip_sample clip_denoised", "diffusion.clip_x0"},
    {"size resolution res img_size imgsize image_resolution", "data.image_size"},
    {"dataset data_dir data_path path folder train_data_dir", "data.spec"},
    {"grad_norm max_grad_norm clip_grad clip_grad_norm gradient_clip_val", "train.grad_clip"},
    {"accum grad_accum gradient_accumulate_every gradient_accumulation_steps microbatch",
     "train.accumulate"},
    {"warmup lr_warmup lr_warmup_steps", "train.warmup_steps"},
    {"lr_schedule lr_scheduler lr_sched", "train.lr_decay"},
    {"wd", "train.weight_decay"},
    {"betas beta1 adam_betas", "train.adam_beta1"},
    {"beta2", "train.adam_beta2"},
    {"eps epsilon adam_epsilon", "train.adam_eps"},
    {"amp fp16 bf16 use_fp16 mixed_precision dtype", "train.precision"},
    {"hflip random_flip horizontal_flip augment_horizontal_flip", "train.flip"},
    {"save_every save_interval ckpt_every checkpointing_steps save_steps",
     "train.checkpoint_every"},
    {"sample_interval save_and_sample_every save_images_epochs", "train.sample_every"},
    {"log_interval logging_steps", "train.log_every"},
    {"cond_drop_prob cfg_dropout p_uncond uncond_prob", "train.label_dropout"},
    {"min_snr min_snr_loss_weight snr_gamma", "train.loss_weight train.min_snr_gamma"},
};

/// "--train.Batch-Size" -> "batch_size": the last part, as keys are spelt.
std::string leaf_of(std::string_view word) {
  word.remove_prefix(std::min(word.find_first_not_of('-'), word.size()));
  std::string leaf = lower(word.substr(word.rfind('.') + 1));
  std::ranges::replace(leaf, '-', '_');
  return leaf;
}

bool counts(std::string_view key, std::optional<model::Family> family) {
  const Key* known = find_key(key);
  return known && (!family || belongs_to(*known, *family));
}

struct Meaning {
  std::vector<std::string> keys;
  const char* note = "";
};

Meaning meaning_of(std::string_view word, std::optional<model::Family> family) {
  const std::string leaf = leaf_of(word);
  if (leaf.empty()) return {};
  for (const Alias& alias : kAliases) {
    const auto words = split(alias.words, ' ');
    if (std::ranges::find(words, leaf) == words.end()) continue;
    Meaning meant{{}, alias.note};
    for (const std::string_view key : split(alias.keys, ' '))
      if (counts(key, family)) meant.keys.emplace_back(key);
    return meant;
  }
  Meaning meant;  // the key without its section, or in another one
  for (const Key& key : keys())
    if (key.name.substr(key.name.find('.') + 1) == leaf && counts(key.name, family))
      meant.keys.emplace_back(key.name);
  return meant;
}

}  // namespace

std::string key_by_another_name(std::string_view word, std::optional<model::Family> family) {
  const Meaning meant = meaning_of(word, family);
  return meant.keys.empty() ? "" : meant.keys[0];
}

std::string did_you_mean(std::string_view word, std::optional<model::Family> family) {
  Meaning meant = meaning_of(word, family);
  if (meant.keys.empty()) {
    std::vector<std::string> whole, leaves;
    for (const Key& key : keys()) {
      if (!counts(key.name, family)) continue;
      whole.emplace_back(key.name);
      leaves.emplace_back(leaf_of(key.name));
    }
    std::string near = nearest(word, whole);
    if (near.empty())
      if (const std::string leaf = nearest(leaf_of(word), leaves); !leaf.empty())
        near = whole[std::size_t(std::ranges::find(leaves, leaf) - leaves.begin())];
    if (near.empty()) return "";
    meant.keys = {near};
  }
  return cat("did you mean ", joined(meant.keys, " or "), "?", meant.note);
}

}  // namespace haze::apps
