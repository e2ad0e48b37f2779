// SPDX-License-Identifier: MIT
// weights.h — named tensors in PyTorch's layout, to and from a network's parameters.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "model/network.h"

namespace haze::model {

/// A tensor on the host, f32, in PyTorch's layout (NCHW, OIHW).
struct HostTensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};
using StateDict = std::map<std::string, HostTensor>;

/// The shape that a parameter has in its system's state dict.
std::vector<std::int64_t> pytorch_shape(const engine::Parameter& parameter);

/// A flat buffer of the network (weights, ema, gradients, ...) as a state dict under its system's
/// names and shapes. `only_written` leaves out parameters that no gradient reached.
StateDict to_state_dict(const engine::Parameters& parameters, const engine::Tensor& flat,
                        bool only_written = false);

/// Every parameter must be in the state dict with its shape and nothing else: throws InputError that
/// says what is missing, extra and misshapen (mismatches.h). Accepts diffusers' legacy attention
/// names (query, key, value, proj_attn).
void check_state_dict(const engine::Parameters& parameters, const StateDict& state);
/// Fills the flat buffer from a state dict, which is checked likewise.
void from_state_dict(engine::Parameters& parameters, const engine::Tensor& flat,
                     const StateDict& state);
/// Checks the state dict, then allocates the parameters (without EMA) and fills the weights from it:
/// in this order, so that a small file cannot ask for the memory of a large network.
void allocate_from(engine::Parameters& parameters, Stream stream, bool training, DType activations,
                   const StateDict& state);

/// [N,C,H,W] to [N,H,W,C] and back.
std::vector<float> nchw_to_nhwc(const std::vector<float>& x, int n, int c, int h, int w);
std::vector<float> nhwc_to_nchw(const std::vector<float>& x, int n, int c, int h, int w);

}  // namespace haze::model
