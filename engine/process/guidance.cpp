// SPDX-License-Identifier: MIT
// guidance.cpp — classifier-free guidance.
#include "engine/process/dims.h"
#include "engine/process/process.h"

namespace haze::engine {

Tensor guidance(Context& context, const Tensor& x, const Tensor& c, const Tensor& u,
                const Guidance& options) {
  const auto d = prediction_dims(x.shape, c);
  HAZE_CHECK(u.shape == c.shape && u.dtype == c.dtype, "c is ", c.shape.str(), ' ',
             name_of(c.dtype), ", u is ", u.shape.str(), ' ', name_of(u.dtype));
  HAZE_CHECK(options.rescale >= 0 && options.rescale <= 1, "rescale ", options.rescale);
  const Tensor out = empty(context, c.shape, c.dtype);
  const auto sums = scratch(context, kernels::guidance_scratch_bytes(d, options));
  context.run(
      [&](auto s) { kernels::guidance(s, d, c.in(), u.in(), options, sums.get(), out.act()); });
  return out;
}

}  // namespace haze::engine
