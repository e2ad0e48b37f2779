// SPDX-License-Identifier: MIT
#include "model/weights.h"

#include <algorithm>

#include "engine/device_tensor.h"
#include "kernels/base/text.h"
#include "model/mismatches.h"

namespace haze::model {

using engine::Layout;
using engine::Parameter;
using engine::Parameters;
using engine::ParamId;
using engine::Shape;
using engine::Tensor;

namespace {

/// dst[i][k][j] = src[i][j][k] for src [a,b,c].
std::vector<float> swap_last_two(const std::vector<float>& src, std::size_t a, std::size_t b,
                                 std::size_t c) {
  std::vector<float> dst(src.size());
  for (std::size_t i = 0; i < a; ++i)
    for (std::size_t j = 0; j < b; ++j)
      for (std::size_t k = 0; k < c; ++k) dst[(i * c + k) * b + j] = src[(i * b + j) * c + k];
  return dst;
}

/// dst[j][i][k] = src[i][j][k] for src [a,b,c].
std::vector<float> swap_first_two(const std::vector<float>& src, std::size_t a, std::size_t b,
                                  std::size_t c) {
  std::vector<float> dst(src.size());
  for (std::size_t i = 0; i < a; ++i)
    for (std::size_t j = 0; j < b; ++j)
      std::copy_n(src.begin() + std::ptrdiff_t((i * b + j) * c), c,
                  dst.begin() + std::ptrdiff_t((j * a + i) * c));
  return dst;
}

std::size_t taps(const Shape& s) { return std::size_t(s[1]) * std::size_t(s[2]); }

std::vector<float> to_pytorch(const Parameter& p, std::vector<float> values) {
  if (p.layout == Layout::same) return values;
  const std::size_t co = std::size_t(p.shape[0]), ci = std::size_t(p.shape[3]), k = taps(p.shape);
  values = swap_last_two(values, co, k, ci);
  return p.layout == Layout::conv ? values : swap_first_two(values, co, ci, k);
}

std::vector<float> from_pytorch(const Parameter& p, std::vector<float> values) {
  if (p.layout == Layout::same) return values;
  const std::size_t co = std::size_t(p.shape[0]), ci = std::size_t(p.shape[3]), k = taps(p.shape);
  if (p.layout == Layout::conv_transpose) values = swap_first_two(values, ci, co, k);
  return swap_last_two(values, co, ci, k);
}

/// diffusers renamed its attention layers; files from before use the old names.
std::string current_name(const std::string& name) {
  static const std::map<std::string, std::string> renamed = {
      {"query", "to_q"}, {"key", "to_k"}, {"value", "to_v"}, {"proj_attn", "to_out.0"}};
  const std::size_t end = name.rfind('.');
  if (end == std::string::npos || end == 0 || name.find("attentions.") == std::string::npos)
    return name;
  const std::size_t begin = name.rfind('.', end - 1) + 1;
  const auto found = renamed.find(name.substr(begin, end - begin));
  return found == renamed.end() ? name : name.substr(0, begin) + found->second + name.substr(end);
}

}  // namespace

std::vector<std::int64_t> pytorch_shape(const Parameter& p) {
  const Shape& s = p.shape;
  switch (p.layout) {
    case Layout::conv:
      return {s[0], s[3], s[1], s[2]};
    case Layout::conv_transpose:
      return {s[3], s[0], s[1], s[2]};
    case Layout::same:
      break;
  }
  std::vector<std::int64_t> shape;
  for (int i = 0; i < s.rank(); ++i) shape.push_back(s[i]);
  return shape;
}

StateDict to_state_dict(const Parameters& parameters, const Tensor& flat, bool only_written) {
  StateDict state;
  for (std::uint32_t i = 0; i < parameters.count(); ++i) {
    const ParamId id{i};
    if (only_written && !parameters.gradient_written(id)) continue;
    const Parameter& p = parameters[id];
    auto values = engine::download(parameters.stream(), parameters.range_of(flat, id));
    state[p.name] = {pytorch_shape(p), to_pytorch(p, std::move(values))};
  }
  return state;
}

namespace {

/// The state's tensors under the names that the network uses; InputError if they are not its own.
std::map<std::string, const HostTensor*> fitting(const Parameters& parameters,
                                                 const StateDict& state) {
  std::map<std::string, const HostTensor*> given;
  for (const auto& [name, tensor] : state)
    if (const std::string now = current_name(name); now != name && state.contains(now))
      throw InputError(cat("weights: they hold both ", name, " and its present name, ", now));
    else
      given[now] = &tensor;
  if (const std::string text = mismatches(parameters, given); !text.empty())
    throw InputError("weights: they do not fit the network;" + text);
  return given;
}

}  // namespace

void check_state_dict(const Parameters& parameters, const StateDict& state) {
  fitting(parameters, state);
}

void from_state_dict(Parameters& parameters, const Tensor& flat, const StateDict& state) {
  const auto given = fitting(parameters, state);
  for (std::uint32_t i = 0; i < parameters.count(); ++i) {
    const Parameter& p = parameters[ParamId{i}];
    const std::vector<float> values = from_pytorch(p, given.at(p.name)->values);
    engine::overwrite(parameters.stream(), parameters.range_of(flat, ParamId{i}), values);
  }
  if (flat.raw() == parameters.weights.raw()) parameters.refresh_bf16();
}

void allocate_from(Parameters& parameters, Stream stream, bool training, DType activations,
                   const StateDict& state) {
  check_state_dict(parameters, state);
  parameters.allocate(stream, 0, training, false, activations);
  from_state_dict(parameters, parameters.weights, state);
}

std::vector<float> nchw_to_nhwc(const std::vector<float>& x, int n, int c, int h, int w) {
  HAZE_CHECK(x.size() == Shape({n, c, h, w}).size(), x.size(), " values for ",
             Shape({n, c, h, w}).str());
  return swap_last_two(x, std::size_t(n), std::size_t(c), std::size_t(h) * std::size_t(w));
}

std::vector<float> nhwc_to_nchw(const std::vector<float>& x, int n, int c, int h, int w) {
  HAZE_CHECK(x.size() == Shape({n, c, h, w}).size(), x.size(), " values for ",
             Shape({n, c, h, w}).str());
  return swap_last_two(x, std::size_t(n), std::size_t(h) * std::size_t(w), std::size_t(c));
}

}  // namespace haze::model
