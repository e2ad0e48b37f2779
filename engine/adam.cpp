// SPDX-License-Identifier: MIT
#include "engine/adam.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "engine/device_tensor.h"
#include "kernels/adam/adam.h"

namespace haze::engine {
namespace {

void check(const AdamOptions& o) {
  HAZE_CHECK(std::isfinite(o.learning_rate), "learning_rate ", o.learning_rate);
  HAZE_CHECK(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1, "beta1 ", o.beta1,
             ", beta2 ", o.beta2, "; both in [0,1)");
  HAZE_CHECK(float(o.eps) > 0, "eps ", o.eps, "; a weight without gradient would divide by it");
  HAZE_CHECK(o.ema_decay >= 0 && o.ema_decay <= 1, "ema_decay ", o.ema_decay);
  HAZE_CHECK(o.skip_above >= 0, "skip_above ", o.skip_above);
}

/// The largest norm that an update is made with. Without clipping, g² of a gradient of 2^64 is
/// infinite, and so would v be for ever.
float largest_norm(const AdamOptions& o) {
  constexpr float kBelow2To64 = 0x1.fffffep63f;
  const bool clipped = o.grad_clip > 0 && o.grad_clip < 0x1p63;
  return float(std::min(o.skip_above, double(clipped ? FLT_MAX : kBelow2To64)));
}

}  // namespace

AdamStep adam_coefficients(const AdamOptions& o, std::uint32_t step) {
  check(o);
  const double k = double(step) + 1;
  AdamStep c;
  c.beta1 = float(o.beta1);
  c.one_minus_beta1 = float(1 - o.beta1);
  c.beta2 = float(o.beta2);
  c.one_minus_beta2 = float(1 - o.beta2);
  c.step_size = float(o.learning_rate / (1 - std::pow(o.beta1, k)));
  c.inv_sqrt_bias2 = float(1 / std::sqrt(1 - std::pow(o.beta2, k)));
  c.eps = float(o.eps);
  c.decay = float(o.learning_rate * o.weight_decay);
  c.clip = float(o.grad_clip);
  c.one_minus_decay = float(1 - o.ema_decay);
  c.skip_above = largest_norm(o);
  return c;
}

Tensor gradient_norm(Context& context, const Parameters& parameters) {
  HAZE_CHECK(parameters.gradients, "the parameters are not allocated for training");
  const std::size_t n = parameters.flat_size();
  Tensor norm = empty(context, {1}, DType::f32);
  const auto sums = scratch(context, kernels::global_norm_scratch_bytes(n));
  context.run([&](auto s) {
    kernels::global_norm(s, n, parameters.gradients.f32(), sums.get(), norm.f32());
  });
  return norm;
}

void adam_step(Context& context, Parameters& parameters, const Late<AdamStep>& step,
               const Tensor& losses, const Tensor& result) {
  HAZE_CHECK(parameters.gradients && parameters.adam_m && parameters.adam_v,
             "the parameters are not allocated for training");
  HAZE_CHECK(result.size() == 2, "result ", result.shape.str(), ", not [2]");
  parameters.finish_gradients();
  const std::size_t n = parameters.flat_size();
  const auto sums = scratch(context, kernels::global_norm_scratch_bytes(n));
  const kernels::AdamBuffers buffers{parameters.weights.f32(),
                                     parameters.gradients.f32(),
                                     parameters.adam_m.f32(),
                                     parameters.adam_v.f32(),
                                     parameters.ema.f32(),
                                     static_cast<bf16*>(parameters.weights_bf16.raw()),
                                     losses.f32(),
                                     losses ? int(losses.size()) : 0};
  context.run([&](auto s) { kernels::adam_step(s, n, step, buffers, sums.get(), result.f32()); });
  parameters.begin_gradients();
}

Tensor adam_step(Context& context, Parameters& parameters, const AdamOptions& options,
                 std::uint32_t step) {
  const AdamStep coefficients = adam_coefficients(options, step);
  const Tensor result = empty(context, {2}, DType::f32);
  adam_step(context, parameters, {coefficients}, {}, result);
  return result;
}

std::vector<ParamId> nonfinite_gradients(const Parameters& parameters) {
  std::vector<ParamId> found;
  for (std::uint32_t i = 0; i < parameters.count(); ++i) {
    const auto g = download(parameters.stream(), parameters.range_of(parameters.gradients, {i}));
    if (!std::ranges::all_of(g, [](float x) { return std::isfinite(x); })) found.push_back({i});
  }
  return found;
}

}  // namespace haze::engine
