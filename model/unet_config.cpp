// SPDX-License-Identifier: MIT
// unet_config.cpp — what a U-Net's configuration must satisfy before a layer is built.
#include <cmath>

#include "model/unet.h"

namespace haze::model {
namespace {

constexpr int kMaxLevels = 12, kMaxWidth = 1 << 16;

template <class T>
void require(bool ok, const char* key, const T& value, const std::string& allowed) {
  if (!ok) throw InputError(cat("model.", key, ": ", value, "; ", allowed));
}

template <class T>
std::string text_of(const std::vector<T>& list) {
  std::string text = "[";
  for (std::size_t i = 0; i < list.size(); ++i) text += cat(i ? ", " : "", list[i]);
  return text + "]";
}

void check_levels(const char* key, const std::vector<int>& list, const char* attention_key,
                  const std::vector<bool>& attention) {
  require(!list.empty() && list.size() <= kMaxLevels, key, text_of(list),
          cat("1 to ", kMaxLevels, " levels"));
  for (const int value : list) require(value >= 1, key, text_of(list), "each at least 1");
  require(attention.size() == list.size(), attention_key, cat(attention.size(), " values"),
          cat("as many as ", key, " has: ", list.size()));
}

/// The frequencies are exp(-ln(10000) i / (half - shift)): half is the width / 2.
void check_time_embedding(const char* key, int width, float shift) {
  require(width % 2 == 0, key, width, "even: half of the time embedding is sines, half cosines");
  require(width / 2 - shift > 0, key, width,
          cat("more than ", 2 * shift, ", for the time embedding"));
}

}  // namespace

std::vector<int> level_widths(const NetworkConfig& config) {
  if (config.family == Family::ddpm) return config.block_out_channels;
  std::vector<int> widths;
  long long width = config.n_channels;
  for (const int mult : config.ch_mults) {
    width *= mult;
    require(width <= kMaxWidth, "ch_mults", text_of(config.ch_mults),
            cat("widths are cumulative, at most ", kMaxWidth));
    widths.push_back(int(width));
  }
  return widths;
}

void check_config(const NetworkConfig& c) {
  require(c.image_channels >= 1, "image_channels", c.image_channels, "at least 1");
  require(c.norm_groups >= 1, "norm_groups", c.norm_groups, "at least 1");
  require(c.dropout >= 0 && c.dropout < 1, "dropout", c.dropout, "in [0, 1)");
  if (c.family == Family::labml) {
    require(c.n_channels >= 1 && c.n_channels <= kMaxWidth, "n_channels", c.n_channels,
            cat("1 to ", kMaxWidth));
    check_time_embedding("n_channels", c.n_channels, 1);
    require(c.n_channels % 8 == 0, "n_channels", c.n_channels,
            "a multiple of 8: the last normalisation has 8 groups");
    check_levels("ch_mults", c.ch_mults, "is_attn", c.is_attn);
    require(c.n_blocks >= 1, "n_blocks", c.n_blocks, "at least 1");
  } else {
    check_levels("block_out_channels", c.block_out_channels, "attention", c.attention);
    for (const int width : c.block_out_channels)
      require(width <= kMaxWidth, "block_out_channels", text_of(c.block_out_channels),
              cat("at most ", kMaxWidth));
    require(std::isfinite(c.freq_shift), "freq_shift", c.freq_shift, "a number");
    check_time_embedding("block_out_channels", c.block_out_channels[0], c.freq_shift);
    require(c.layers_per_block >= 1, "layers_per_block", c.layers_per_block, "at least 1");
    require(c.attention_head_dim >= 0, "attention_head_dim", c.attention_head_dim,
            "0 (one head) or the width of a head");
    require(c.norm_eps > 0 && std::isfinite(c.norm_eps), "norm_eps", c.norm_eps, "positive");
    require(c.downsample_padding == 0 || c.downsample_padding == 1, "downsample_padding",
            c.downsample_padding, "0 (right and bottom) or 1 (symmetric)");
  }
}

}  // namespace haze::model
