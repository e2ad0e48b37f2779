// SPDX-License-Identifier: MIT
#include "model/layers.h"

#include <cmath>

namespace haze::model {

using engine::Init;
using engine::Layout;
using engine::Parameter;
using engine::ParamId;
using engine::Shape;
using engine::Var;

namespace {

float default_bound(int fan_in) { return float(1 / std::sqrt(double(fan_in))); }

Parameter weight_of(const std::string& name, Shape shape, int fan_in, Layout layout) {
  return {.name = name + ".weight",
          .shape = shape,
          .layout = layout,
          .init = Init::uniform,
          .bound = default_bound(fan_in),
          .is_weight = true};
}

Parameter bias_of(const std::string& name, int out, int fan_in) {
  return {.name = name + ".bias",
          .shape = {out},
          .init = Init::uniform,
          .bound = default_bound(fan_in)};
}

}  // namespace

Linear LayerBuilder::linear(const std::string& name, int in, int out) {
  const ParamId weight = parameters_.add(weight_of(name, {out, in}, in, Layout::same));
  return {weight, parameters_.add(bias_of(name, out, in))};
}

JointLinear LayerBuilder::joint_linear(const std::vector<std::string>& names, int in, int out) {
  std::vector<Parameter> weights, biases;
  for (const std::string& name : names) {
    weights.push_back(weight_of(name, {out, in}, in, Layout::same));
    biases.push_back(bias_of(name, out, in));
  }
  const auto weight = parameters_.add_joint(std::move(weights));
  return {weight, parameters_.add_joint(std::move(biases))};
}

Conv LayerBuilder::conv(const std::string& name, int in, int out, int kernel,
                        const engine::Conv2dOptions& options) {
  const int fan_in = in * kernel * kernel;
  const ParamId weight =
      parameters_.add(weight_of(name, {out, kernel, kernel, in}, fan_in, Layout::conv));
  return {weight, parameters_.add(bias_of(name, out, fan_in)), options};
}

Conv LayerBuilder::conv_same(const std::string& name, int in, int out, int kernel) {
  return conv(name, in, out, kernel, engine::Conv2dOptions::same(kernel));
}

ConvTranspose LayerBuilder::conv_transpose(const std::string& name, int in, int out) {
  // PyTorch takes the second extent of its [in,out,4,4] weight for the fan-in.
  const int fan_in = out * 16;
  const ParamId weight =
      parameters_.add(weight_of(name, {out, 4, 4, in}, fan_in, Layout::conv_transpose));
  return {weight, parameters_.add(bias_of(name, out, fan_in))};
}

Embedding LayerBuilder::embedding(const std::string& name, int rows, int width) {
  return {parameters_.add({.name = name + ".weight",
                           .shape = {rows, width},
                           .init = Init::normal,
                           .bound = 1,
                           .is_weight = true})};
}

Norm LayerBuilder::norm(const std::string& name, int channels, int groups, float eps) {
  if (groups < 1 || channels % groups != 0)
    throw InputError(cat("model.norm_groups: ", groups, "; it must divide the ", channels,
                         " channels of ", name));
  const ParamId gamma =
      parameters_.add({.name = name + ".weight", .shape = {channels}, .init = Init::ones});
  return {gamma, parameters_.add({.name = name + ".bias", .shape = {channels}}), groups, eps};
}

Var Linear::operator()(const Pass& pass, Var x, Var residual) const {
  return engine::linear(pass.tape, x, pass.tape.parameter(pass.parameters, weight),
                        pass.tape.parameter(pass.parameters, bias), residual);
}

Var JointLinear::operator()(const Pass& pass, Var x) const {
  return engine::linear(pass.tape, x, pass.tape.joint_parameter(pass.parameters, weight),
                        pass.tape.joint_parameter(pass.parameters, bias));
}

Var Embedding::operator()(const Pass& pass, const engine::Tensor& index) const {
  return engine::embedding(pass.tape, pass.tape.parameter(pass.parameters, weight), index);
}

Var Conv::operator()(const Pass& pass, engine::Joined x, Var per_channel, Var residual) const {
  return engine::conv2d(pass.tape, x, pass.tape.parameter(pass.parameters, weight),
                        pass.tape.parameter(pass.parameters, bias), options, per_channel, residual);
}

Var ConvTranspose::operator()(const Pass& pass, Var x) const {
  return engine::conv_transpose2d(pass.tape, x, pass.tape.parameter(pass.parameters, weight),
                                  pass.tape.parameter(pass.parameters, bias));
}

Var Norm::operator()(const Pass& pass, Var x) const {
  return engine::group_norm(pass.tape, x, pass.tape.parameter(pass.parameters, gamma),
                            pass.tape.parameter(pass.parameters, beta), groups, eps);
}

Var Norm::swish(const Pass& pass, engine::Joined x) const {
  return engine::group_norm_swish(pass.tape, x, pass.tape.parameter(pass.parameters, gamma),
                                  pass.tape.parameter(pass.parameters, beta), groups, eps);
}

}  // namespace haze::model
