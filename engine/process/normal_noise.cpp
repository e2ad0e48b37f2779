// SPDX-License-Identifier: MIT
// normal_noise.cpp — the noise that a chain starts from.
#include "engine/process/dims.h"
#include "engine/process/process.h"
#include "kernels/normal_fill/normal_fill.h"

namespace haze::engine {

Tensor normal_noise(Context& context, Shape shape, RandomKey key, std::uint32_t first_item) {
  const Tensor x = empty(context, shape, DType::f32);
  context.run([&](auto s) { kernels::normal_fill(s, item_dims(shape), key, first_item, x.f32()); });
  return x;
}

}  // namespace haze::engine
