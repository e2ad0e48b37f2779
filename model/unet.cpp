// SPDX-License-Identifier: MIT
#include "model/unet.h"

namespace haze::model {

using engine::Var;

namespace {

constexpr int kLabmlHeadGroups = 8;
constexpr float kLabmlEps = 1e-5f;

/// Where a family keeps its layers. Blocks of labml are numbered through, down and up each on
/// their own; those of diffusers per level, the up path's from the deepest.
struct Names {
  bool labml;
  int entry = 0;  // labml: index in `down` or `up`

  std::string of(const char* labml_name, const char* ddpm_name) const {
    return labml ? labml_name : ddpm_name;
  }
  std::string residual(const char* side, int group, int j) const {
    return labml ? cat(side, '.', entry, ".res") : cat(side, "_blocks.", group, ".resnets.", j);
  }
  std::string attention(const char* side, int group, int j) const {
    return labml ? cat(side, '.', entry, ".attn") : cat(side, "_blocks.", group, ".attentions.", j);
  }
  std::string resample(const char* side, int group) const {
    return labml ? cat(side, '.', entry, ".conv")
                 : cat(side, "_blocks.", group, '.', side, "samplers.0.conv");
  }
};

BlockStyle style_of(const NetworkConfig& config, int first_width) {
  const bool labml = config.family == Family::labml;
  return {.names = labml ? BlockNames{"shortcut", "time_emb"}
                         : BlockNames{"conv_shortcut", "time_emb_proj"},
          .time_width = 4 * first_width,
          .groups = config.norm_groups,
          .eps = labml ? kLabmlEps : config.norm_eps,
          .dropout = config.dropout,
          .head_dim = config.attention_head_dim};
}

}  // namespace

UNet::UNet(const NetworkConfig& config) : Network(config), family_(config.family) {
  check_config(config);
  build(config);
}

UNet::Block UNet::make_block(LayerBuilder& builder, const BlockStyle& style,
                             const std::string& name, const std::string& attention_name, int in,
                             int out) const {
  Block block{ResidualBlock(builder, style, name, in, out), {}};
  if (attention_name.empty()) return block;
  const auto make = family_ == Family::labml ? AttentionBlock::labml : AttentionBlock::ddpm;
  block.attention = make(builder, style, attention_name, out);
  return block;
}

void UNet::build(const NetworkConfig& config) {
  const bool labml = family_ == Family::labml;
  const std::vector<int> widths = level_widths(config);
  const std::vector<bool>& attends = labml ? config.is_attn : config.attention;
  const int levels = config.levels(), blocks = labml ? config.n_blocks : config.layers_per_block;
  const int first = labml ? config.n_channels : widths[0];
  const BlockStyle style = style_of(config, first);
  LayerBuilder builder(parameters_);
  Names names{labml};

  stem_ = builder.conv_same(names.of("image_proj", "conv_in"), config.in_channels(), first, 3);
  const int temb = style.time_width;
  time_ = TimeMlp{{first, !labml && config.flip_sin_to_cos, labml ? 1 : config.freq_shift, labml},
                  builder.linear(names.of("time_emb.lin1", "time_embedding.linear_1"), first, temb),
                  builder.linear(names.of("time_emb.lin2", "time_embedding.linear_2"), temb, temb),
                  {}};
  if (config.num_classes > 0)
    time_->classes = builder.embedding("class_embedding", config.num_classes + 1, temb);

  std::vector<int> skips = {first};
  int width = first;
  for (int level = 0; level < levels; ++level) {
    const int out = widths[std::size_t(level)];
    for (int j = 0; j < blocks; ++j, ++names.entry) {
      const std::string attention =
          attends[std::size_t(level)] ? names.attention("down", level, j) : "";
      down_.emplace_back(
          make_block(builder, style, names.residual("down", level, j), attention, width, out));
      skips.push_back(width = out);
    }
    if (level == levels - 1) break;
    const auto halving = labml || config.downsample_padding == 1
                             ? engine::Conv2dOptions::half_symmetric()
                             : engine::Conv2dOptions::half_bottom_right();
    down_.emplace_back(builder.conv(names.resample("down", level), width, width, 3, halving));
    ++names.entry;
    skips.push_back(width);
  }

  const std::string middle = names.of("middle.res", "mid_block.resnets.");
  middle1_ = make_block(builder, style, middle + (labml ? "1" : "0"),
                        names.of("middle.attn", "mid_block.attentions.0"), width, width);
  middle2_.emplace(builder, style, middle + (labml ? "2" : "1"), width, width);

  names.entry = 0;
  for (int level = levels - 1; level >= 0; --level) {
    const int group = levels - 1 - level;
    for (int j = 0; j <= blocks; ++j, ++names.entry) {
      const int skip = skips.back();
      skips.pop_back();
      // The last block of a labml level narrows to the level above; diffusers' first one does.
      const int out = labml && j == blocks ? skip : widths[std::size_t(level)];
      const std::string attention =
          attends[std::size_t(level)] ? names.attention("up", group, j) : "";
      up_.emplace_back(
          make_block(builder, style, names.residual("up", group, j), attention, width + skip, out));
      width = out;
    }
    if (level == 0) break;
    const std::string name = names.resample("up", group);
    if (labml)
      up_.emplace_back(builder.conv_transpose(name, width, width));
    else
      up_.emplace_back(ResizeConv{builder.conv_same(name, width, width, 3)});
    ++names.entry;
  }

  head_norm_ = builder.norm(names.of("norm", "conv_norm_out"), width,
                            labml ? kLabmlHeadGroups : config.norm_groups, style.eps);
  head_ = builder.conv_same(names.of("final", "conv_out"), width, config.out_channels(), 3);
}

Var UNet::run_block(const Pass& pass, const Block& block, engine::Joined x, Var temb,
                    bool consume) const {
  const Var y = block.residual(pass, x, temb, consume);
  return block.attention ? (*block.attention)(pass, y) : y;
}

Var UNet::forward(engine::Tape& tape, const NetworkInput& in, const TrainingRandom* random) {
  const Pass pass{tape, parameters_, random};
  const Var temb = (*time_)(pass, in.t, in.labels);
  std::vector<Var> skips = {(*stem_)(pass, in.x)};
  tape.release(in.x);
  for (const Down& entry : down_) {
    const Var in = skips.back();
    const auto* block = std::get_if<Block>(&entry);
    skips.push_back(block ? run_block(pass, *block, in, temb, false)
                          : std::get<Conv>(entry)(pass, in));
  }
  // The deepest skip is still needed by the up path.
  Var h = run_block(pass, *middle1_, skips.back(), temb, false);
  h = (*middle2_)(pass, h, temb, true);
  for (const Up& entry : up_) {
    const Var in = h;
    if (const auto* block = std::get_if<Block>(&entry)) {
      const engine::Joined joined{in, skips.back()};
      skips.pop_back();
      h = run_block(pass, *block, joined, temb, true);
    } else if (const auto* transpose = std::get_if<ConvTranspose>(&entry)) {
      h = (*transpose)(pass, in);
      tape.release(in);
    } else {
      const Var wide = engine::upsample2x(tape, in);
      tape.release(in);
      h = std::get<ResizeConv>(entry).conv(pass, wide);
      tape.release(wide);
    }
  }
  tape.release(temb);
  const Var a = head_norm_->swish(pass, h);
  tape.release(h);
  const Var out = (*head_)(pass, a);
  tape.release(a);
  return out;
}

}  // namespace haze::model
