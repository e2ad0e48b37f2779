// SPDX-License-Identifier: MIT
// parameters.h — every weight of a network in one flat f32 buffer, by name.
//
// One buffer each for weights, gradients, Adam's m and v, and the EMA; with bf16 activations also a
// bf16 copy of the weights. A parameter is a range of them all. Ranges are 64-byte aligned; the
// padding between them stays zero.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/tensor.h"
#include "kernels/base/stream.h"

namespace haze::engine {

/// How a parameter's haze layout relates to PyTorch's, for import and export.
enum class Layout : std::uint8_t {
  same,            // vectors, linear weights [out,in]
  conv,            // haze [C_out,kH,kW,C_in] = PyTorch [C_out,C_in,kH,kW]
  conv_transpose,  // haze [C_out,kH,kW,C_in] = PyTorch [C_in,C_out,kH,kW]
};

enum class Init : std::uint8_t {
  zeros,
  ones,
  uniform,  // U(-bound, bound): PyTorch's default for conv and linear, bound = 1/sqrt(fan_in)
  normal,   // N(0, bound^2)
};

struct Parameter {
  std::string name;  // the state-dict name of the system it comes from
  Shape shape;       // haze layout
  Layout layout = Layout::same;
  Init init = Init::zeros;
  float bound = 0;
  bool is_weight = false;  // consumed in the type of the activations (conv and linear weights)
  std::size_t offset = 0;  // into the flat buffers, in elements
  std::size_t size() const { return shape.size(); }
};

/// Handle of a parameter: its index in registration order.
struct ParamId {
  std::uint32_t index = 0;
};

class Parameters {
 public:
  /// Registers a parameter. Call before allocate(). InputError, naming it, above 2^31 - 1 values.
  ParamId add(Parameter p);
  /// Registers several that lie one after the other with no padding, so that their concatenation
  /// along the first axis is a parameter-like range too: q, k, v weights used as one product.
  std::vector<ParamId> add_joint(std::vector<Parameter> parts);

  /// Allocates the flat buffers and fills the weights by each parameter's Init, from Philox stream
  /// kInit of `seed`. `training` adds gradients, m, v; `ema` the EMA (a copy of the weights);
  /// `activations` bf16 adds the bf16 copy.
  void allocate(Stream stream, std::uint64_t seed, bool training, bool ema, DType activations);

  std::size_t count() const { return parameters_.size(); }
  std::size_t elements() const;  // without padding: the network's parameter count
  std::size_t flat_size() const { return flat_size_; }
  const Parameter& operator[](ParamId id) const { return parameters_[id.index]; }
  const std::vector<Parameter>& all() const { return parameters_; }

  /// The flat buffers, [flat_size()] f32 (weights_bf16: bf16); empty tensors where not allocated.
  Tensor weights, gradients, adam_m, adam_v, ema, weights_bf16;

  /// Views. value_of: what a layer consumes (bf16 for is_weight parameters in a bf16 run).
  Tensor value_of(ParamId id) const;
  Tensor range_of(const Tensor& flat, ParamId id) const;
  /// The joint value of parameters registered by one add_joint call: [sum of first extents, rest].
  Tensor joint_value(const std::vector<ParamId>& parts) const;
  Tensor joint_range(const Tensor& flat, const std::vector<ParamId>& parts) const;

  /// Gradients: the tape overwrites a range the first time it reaches it after begin_gradients()
  /// and adds from then on. finish_gradients() zeroes the ranges that nothing reached.
  void begin_gradients();
  bool gradient_written(ParamId id) const { return written_[id.index]; }
  void mark_written(ParamId id) { written_[id.index] = true; }
  void finish_gradients();
  /// Refreshes the bf16 copy from the f32 weights (after loading; Adam does it itself).
  void refresh_bf16();
  /// Calls f while the network computes with the EMA, and then goes on with the weights as they
  /// were, also if f throws: weights and ema exchange what they hold, at addresses that stay, so
  /// that a captured training step remains right. f reads the parameters only.
  void with_ema(const std::function<void()>& f);

  Stream stream() const { return stream_; }

 private:
  void exchange_ema();
  std::vector<Parameter> parameters_;
  std::vector<bool> written_;
  std::size_t flat_size_ = 0;
  Stream stream_;
};

}  // namespace haze::engine
