// SPDX-License-Identifier: MIT
// q_sample.cpp — the forward process from x0, t and noise.
#include "engine/process/arguments.h"

namespace haze::engine {

Tensor q_sample(Context& context, const Tensor& x0, const Tensor& t, const NoiseTables& tables,
                const Noise& noise) {
  const auto d = item_dims(x0.shape);
  HAZE_CHECK(t.shape == Shape({d.n}), "x0 is ", x0.shape.str(), ", t is ", t.shape.str());
  const Tensor x_t = empty(context, x0.shape, context.activations);
  context.run([&](auto s) {
    kernels::q_sample(s, d, x0.f32(), t.i32(), kernel_schedule(tables),
                      kernel_noise(noise, x0.shape), x_t.act());
  });
  return x_t;
}

}  // namespace haze::engine
