// SPDX-License-Identifier: MIT
// blend.cpp — what is known of an image, put in place at its noise level.
#include "engine/process/arguments.h"

namespace haze::engine {

void blend(Context& context, const Late<BlendStep>& step, const Tensor& x, const Tensor& mask,
           const Tensor& x0, const Noise& z) {
  const Shape& s = x.shape;
  HAZE_CHECK(s.rank() == 4 && (x0.shape == s || x0.shape == Shape({1, s[1], s[2], s[3]})), "x is ",
             s.str(), ", x0 is ", x0.shape.str());
  const bool per_item = mask.shape == Shape({s[0], s[1], s[2]});
  HAZE_CHECK((per_item || mask.shape == Shape({s[1], s[2]})) && mask.dtype == DType::u8, "x is ",
             s.str(), ", the mask is ", mask.shape.str(), ' ', name_of(mask.dtype));
  const kernels::BlendDims d{s[0], s[1] * s[2], s[3], per_item, x0.shape[0] == s[0]};
  context.run([&](auto stream) {
    kernels::blend(stream, d, step, static_cast<const std::uint8_t*>(mask.raw()), x0.f32(),
                   kernel_noise(z, s), x.f32());
  });
}

}  // namespace haze::engine
