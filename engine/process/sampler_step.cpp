// SPDX-License-Identifier: MIT
// sampler_step.cpp — one step of a chain.
#include "engine/process/arguments.h"

namespace haze::engine {

Tensor sampler_step(Context& context, const Late<SamplerStep>& step, const Tensor& x,
                    const Tensor& out, const Noise& z, const SamplerOutputs& outputs) {
  const auto d = prediction_dims(x.shape, out);
  HAZE_CHECK(out.dtype == context.activations, "out is ", name_of(out.dtype));
  for (const Tensor* t : {&outputs.history, &outputs.x0})
    HAZE_CHECK(!*t || t->shape == x.shape, "x is ", x.shape.str(), ", an output ", t->shape.str());
  const bool same = context.activations == DType::f32;
  const Tensor next = same ? x : empty(context, x.shape, context.activations);
  const kernels::SamplerOut to{x.f32(), same ? kernels::Act{} : next.act(), outputs.history.f32(),
                               outputs.x0.f32()};
  context.run([&](auto s) {
    kernels::sampler_step(s, d, step, x.f32(), out.in(), kernel_noise(z, x.shape), to);
  });
  return next;
}

}  // namespace haze::engine
