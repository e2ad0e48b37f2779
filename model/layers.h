// SPDX-License-Identifier: MIT
// layers.h — the layers that the networks are built of: parameters under their state-dict names,
// and the op that applies them.
#pragma once
#include <string>

#include "model/network.h"

namespace haze::model {

/// One forward pass: what every layer of it shares.
struct Pass {
  engine::Tape& tape;
  engine::Parameters& parameters;
  const TrainingRandom* random = nullptr;  // null: no dropout
};

/// Registers layers with PyTorch's default initial values: weights and biases of convolutions and
/// linear layers from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), norms 1 and 0. A layer `name` owns
/// `name.weight` and `name.bias`.
class LayerBuilder {
 public:
  explicit LayerBuilder(engine::Parameters& parameters) : parameters_(parameters) {}
  struct Linear linear(const std::string& name, int in, int out);
  struct Conv conv(const std::string& name, int in, int out, int kernel,
                   const engine::Conv2dOptions& options);
  struct Conv conv_same(const std::string& name, int in, int out, int kernel);
  struct ConvTranspose conv_transpose(const std::string& name, int in, int out);
  /// A table [rows,width] from N(0, 1).
  struct Embedding embedding(const std::string& name, int rows, int width);
  /// Throws InputError if `groups` does not divide `channels`.
  struct Norm norm(const std::string& name, int channels, int groups, float eps);
  /// Linear layers name[k], each in -> out, that are applied as one product in -> size·out.
  struct JointLinear joint_linear(const std::vector<std::string>& names, int in, int out);
  /// The index of the next dropout layer: it selects the layer's random stream.
  std::uint32_t next_dropout() { return dropouts_++; }

 private:
  engine::Parameters& parameters_;
  std::uint32_t dropouts_ = 0;
};

struct Linear {
  engine::ParamId weight, bias;
  /// x [...,in] -> [...,out]; residual [...,out] or none is added.
  engine::Var operator()(const Pass& pass, engine::Var x, engine::Var residual = {}) const;
};

struct JointLinear {
  std::vector<engine::ParamId> weight, bias;
  engine::Var operator()(const Pass& pass, engine::Var x) const;
};

struct Embedding {
  engine::ParamId weight;
  /// index [N] i32 -> [N,width].
  engine::Var operator()(const Pass& pass, const engine::Tensor& index) const;
};

struct Conv {
  engine::ParamId weight, bias;
  engine::Conv2dOptions options;
  /// x [N,H,W,in] -> [N,Ho,Wo,out], plus per_channel [N,out] and residual where given.
  engine::Var operator()(const Pass& pass, engine::Joined x, engine::Var per_channel = {},
                         engine::Var residual = {}) const;
};

/// 4x4, stride 2, pad 1: doubles height and width.
struct ConvTranspose {
  engine::ParamId weight, bias;
  engine::Var operator()(const Pass& pass, engine::Var x) const;
};

struct Norm {
  engine::ParamId gamma, beta;
  int groups = 1;
  float eps = 1e-5f;
  engine::Var operator()(const Pass& pass, engine::Var x) const;
  /// swish(norm(x)) in one op.
  engine::Var swish(const Pass& pass, engine::Joined x) const;
};

}  // namespace haze::model
