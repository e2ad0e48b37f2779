// sampler_step.cpp — one step of a chain.
#include "engine/process/arguments.h"

namespace haze::engine {

namespace {

Tensor run_sampler_step(Context& context, const SamplerStep& step, const SamplerStep* on_device,
                        const Tensor& x, const Tensor& out, const Noise& z,
                        const SamplerOutputs& outputs) {
  const auto d = prediction_dims(x.shape, out);
  HAZE_CHECK(out.dtype == context.activations, "out is ", name_of(out.dtype));
  for (const Tensor* t : {&outputs.history, &outputs.x0})
    HAZE_CHECK(!*t || t->shape == x.shape, "x is ", x.shape.str(), ", an output ", t->shape.str());
  const bool same = context.activations == DType::f32;
  const Tensor next = same ? x : empty(context, x.shape, context.activations);
  const kernels::SamplerOut to{x.f32(), same ? kernels::Act{} : next.act(), outputs.history.f32(),
                               outputs.x0.f32()};
  context.run([&](auto s) {
    kernels::sampler_step(s, d, step, x.f32(), out.in(), kernel_noise(z, x.shape), to, on_device);
  });
  return next;
}

}  // namespace

Tensor sampler_step(Context& context, const SamplerStep& step, const Tensor& x, const Tensor& out,
                    const Noise& z, const SamplerOutputs& outputs) {
  return run_sampler_step(context, step, nullptr, x, out, z, outputs);
}

Tensor sampler_step(Context& context, const SamplerStep* on_device, const Tensor& x,
                    const Tensor& out, const Noise& z, const SamplerOutputs& outputs) {
  return run_sampler_step(context, {}, on_device, x, out, z, outputs);
}

}  // namespace haze::engine
