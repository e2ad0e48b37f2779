// SPDX-License-Identifier: MIT
// unet.h — the U-Net of both families: one plan of levels, two spellings.
//
// labml: github.com/labmlai/annotated_deep_learning_paper_implementations, labml_nn/diffusion/ddpm.
// ddpm: diffusers' UNet2DModel as google/ddpm-* use it. Per level going down: blocks, then a
// halving unless it is the last; going up: one block more, each fed the matching skip, then a
// doubling unless it is the first level. docs/models.md lists the differences.
#pragma once
#include <variant>

#include "model/blocks.h"

namespace haze::model {

class UNet : public Network {
 public:
  /// Throws InputError, naming key and value, for a configuration that no network can have.
  explicit UNet(const NetworkConfig& config);
  engine::Var forward(engine::Tape& tape, const NetworkInput& in,
                      const TrainingRandom* random) override;

 private:
  struct Block {
    ResidualBlock residual;
    std::optional<AttentionBlock> attention;
  };
  /// Nearest neighbour and a 3x3 convolution.
  struct ResizeConv {
    Conv conv;
  };
  using Down = std::variant<Block, Conv>;
  using Up = std::variant<Block, ConvTranspose, ResizeConv>;

  void build(const NetworkConfig& config);
  Block make_block(LayerBuilder& builder, const BlockStyle& style, const std::string& name,
                   const std::string& attention_name, int in, int out) const;
  engine::Var run_block(const Pass& pass, const Block& block, engine::Joined x, engine::Var temb,
                        bool consume) const;

  Family family_;
  std::optional<Conv> stem_, head_;
  std::optional<TimeMlp> time_;
  std::vector<Down> down_;
  std::optional<Block> middle1_;
  std::optional<ResidualBlock> middle2_;
  std::vector<Up> up_;
  std::optional<Norm> head_norm_;
};

/// The part of the checks that needs no network: lengths, ranges, divisibility of the time
/// embedding. Throws InputError.
void check_config(const NetworkConfig& config);

/// The width of each level.
std::vector<int> level_widths(const NetworkConfig& config);

}  // namespace haze::model
