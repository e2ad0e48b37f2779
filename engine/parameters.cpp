// SPDX-License-Identifier: MIT
#include "engine/parameters.h"

#include <cmath>

#include "engine/device_tensor.h"
#include "engine/random.h"
#include "kernels/base/sizes.h"

namespace haze::engine {
namespace {

constexpr std::size_t kAlign = 16;  // floats

Tensor flat_buffer(const Stream& stream, std::size_t n, DType type) {
  const Tensor t = lasting(stream, {int(n)}, type);
  zero(stream, t);
  return t;
}

std::vector<float> initial_values(const Parameter& p, std::uint64_t seed, std::uint32_t item) {
  std::vector<float> values(p.size(), p.init == Init::ones ? 1.0f : 0.0f);
  if (p.init == Init::zeros || p.init == Init::ones) return values;
  const RandomKey key{seed, streams::kInit, 0};
  for (std::size_t i = 0; i < values.size(); i += 4) {
    float draw[4];
    if (p.init == Init::normal) {
      normal4(key, item, std::uint32_t(i / 4), draw);
    } else {
      const auto bits = random4(key, item, std::uint32_t(i / 4));
      for (int k = 0; k < 4; ++k) draw[k] = 2 * uniform_f32(bits.v[k]) - 1;
    }
    for (std::size_t k = 0; k < 4 && i + k < values.size(); ++k) values[i + k] = p.bound * draw[k];
  }
  return values;
}

}  // namespace

ParamId Parameters::add(Parameter p) { return add_joint({std::move(p)}).front(); }

std::vector<ParamId> Parameters::add_joint(std::vector<Parameter> parts) {
  HAZE_CHECK(!weights, "parameters are registered before allocate()");
  std::vector<ParamId> ids;
  for (Parameter& p : parts) {
    p.offset = flat_size_;
    flat_size_ += p.size();
    ids.push_back({std::uint32_t(parameters_.size())});
    parameters_.push_back(std::move(p));
  }
  flat_size_ = (flat_size_ + kAlign - 1) / kAlign * kAlign;
  if (flat_size_ > kMostElements)
    throw InputError(cat("network: ", flat_size_, " parameters with ", parameters_.back().name, ' ',
                         parameters_.back().shape.str(), "; at most ", kMostElements,
                         " are possible: make it narrower"));
  return ids;
}

void Parameters::allocate(Stream stream, std::uint64_t seed, bool training, bool with_ema,
                          DType activations) {
  stream_ = stream;
  HAZE_CHECK(flat_size_ > 0, "no parameters");
  weights = flat_buffer(stream, flat_size_, DType::f32);
  for (std::size_t i = 0; !plan_of(stream) && i < parameters_.size(); ++i) {
    const auto values = initial_values(parameters_[i], seed, std::uint32_t(i));
    overwrite(stream, range_of(weights, {std::uint32_t(i)}), values);
  }
  if (training) {
    gradients = flat_buffer(stream, flat_size_, DType::f32);
    adam_m = flat_buffer(stream, flat_size_, DType::f32);
    adam_v = flat_buffer(stream, flat_size_, DType::f32);
  }
  if (with_ema) {
    ema = flat_buffer(stream, flat_size_, DType::f32);
    copy(stream, ema, weights);
  }
  if (activations == DType::bf16) weights_bf16 = flat_buffer(stream, flat_size_, DType::bf16);
  refresh_bf16();
  begin_gradients();
}

std::size_t Parameters::elements() const {
  std::size_t n = 0;
  for (const Parameter& p : parameters_) n += p.size();
  return n;
}

Tensor Parameters::range_of(const Tensor& flat, ParamId id) const {
  const Parameter& p = parameters_[id.index];
  char* at = static_cast<char*>(flat.raw()) + p.offset * size_of(flat.dtype);
  return {p.shape, flat.dtype, std::shared_ptr<void>(flat.storage, at)};
}

Tensor Parameters::value_of(ParamId id) const {
  return range_of(parameters_[id.index].is_weight && weights_bf16 ? weights_bf16 : weights, id);
}

Tensor Parameters::joint_range(const Tensor& flat, const std::vector<ParamId>& parts) const {
  Tensor t = range_of(flat, parts.front());
  if (parts.size() == 1) return t;
  std::vector<int> extents;
  for (int i = 0; i < t.shape.rank(); ++i) extents.push_back(t.shape[i]);
  const std::size_t row = t.size() / std::size_t(extents[0]);
  std::size_t end = parameters_[parts.front().index].offset;
  for (const ParamId id : parts) {
    HAZE_CHECK(parameters_[id.index].offset == end,
               "not registered jointly: ", parameters_[id.index].name);
    end += parameters_[id.index].size();
  }
  extents[0] = int((end - parameters_[parts.front().index].offset) / row);
  t.shape = Shape(extents);
  return t;
}

Tensor Parameters::joint_value(const std::vector<ParamId>& parts) const {
  const bool half = parameters_[parts.front().index].is_weight && weights_bf16;
  return joint_range(half ? weights_bf16 : weights, parts);
}

void Parameters::begin_gradients() { written_.assign(parameters_.size(), false); }

void Parameters::finish_gradients() {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!written_[i]) zero(stream_, range_of(gradients, {std::uint32_t(i)}));
  }
}

void Parameters::refresh_bf16() {
  if (weights_bf16) convert(stream_, weights_bf16, weights);
}

void Parameters::exchange_ema() {
  exchange(stream_, weights, ema);
  refresh_bf16();
}

void Parameters::with_ema(const std::function<void()>& f) {
  HAZE_CHECK(ema, "this run keeps no EMA");
  exchange_ema();
  try {
    f();
  } catch (...) {
    exchange_ema();
    throw;
  }
  exchange_ema();
}

}  // namespace haze::engine
