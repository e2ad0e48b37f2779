// SPDX-License-Identifier: MIT
// blocks.h — the parts of a U-Net. What differs between the families is data: names, which norm is
// applied, how a level is halved and doubled.
//
// Each block says whether it consumes its input: a consumed value is released after its last use,
// so that inference holds few activations and training only those that the gradient rules captured.
#pragma once
#include <optional>

#include "model/layers.h"

namespace haze::model {

/// How a family spells the parts inside its blocks.
struct BlockNames {
  const char *shortcut, *time;
};

/// Widths and conventions that all blocks of one network share.
struct BlockStyle {
  BlockNames names;
  int time_width;  // of the activated time embedding
  int groups;
  float eps;
  float dropout;
  int head_dim = 0;  // 0: one head as wide as the channels
};

/// h = conv1(swish(norm1(x))) + time(temb), y = conv2(dropout(swish(norm2(h)))) + shortcut(x).
struct ResidualBlock {
  Norm norm1, norm2;
  Conv conv1, conv2;
  Linear time;
  std::optional<Conv> shortcut;  // 1x1; absent where the width stays
  float dropout = 0;
  std::uint32_t dropout_index = 0;

  ResidualBlock(LayerBuilder& builder, const BlockStyle& style, const std::string& name, int in,
                int out);
  /// x [N,H,W,in], in one tensor or two, temb [N,time_width] already activated -> [N,H,W,out].
  /// Consumes x if asked to.
  engine::Var operator()(const Pass& pass, engine::Joined x, engine::Var temb, bool consume) const;
};

/// y = output(attention(projection(norm(x)))) + x over the H·W pixels of an image.
struct AttentionBlock {
  Norm norm;
  bool applies_norm = false;  // labml owns a norm that its forward pass leaves out
  JointLinear projection;
  Linear output;
  engine::QkvLayout layout{};
  int heads = 1;

  /// The labml form: one head, q, k and v in one projection, the norm registered but not applied.
  static AttentionBlock labml(LayerBuilder& builder, const BlockStyle& style,
                              const std::string& name, int channels);
  /// The diffusers form: norm first, q, k and v under names of their own. Throws InputError if
  /// head_dim does not divide `channels`.
  static AttentionBlock ddpm(LayerBuilder& builder, const BlockStyle& style,
                             const std::string& name, int channels);
  /// Consumes x.
  engine::Var operator()(const Pass& pass, engine::Var x) const;
};

/// lin2(swish(lin1(embedding of t))), plus the embedding of the class (diffusers' place for it),
/// activated once more: what every residual block projects.
struct TimeMlp {
  engine::TimeEmbedding convention;
  Linear lin1, lin2;
  std::optional<Embedding> classes;
  /// t [N], labels [N] i32 (empty without classes) -> [N,width].
  engine::Var operator()(const Pass& pass, const engine::Tensor& t,
                         const engine::Tensor& labels) const;
};

}  // namespace haze::model
