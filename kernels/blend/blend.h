// SPDX-License-Identifier: MIT
// blend.h — contract of what keeps the known part of an image known while the rest is sampled:
// inpainting (Lugmayr et al. 2022, "RePaint", arXiv 2201.09865, eq. 8).
#pragma once
#include <cstdint>

#include "kernels/base/noise.h"

namespace haze::kernels {

struct BlendDims {
  int n, pixels, channels;
  bool mask_per_item = true;  // the mask is [n,pixels]; else [pixels], the same for all items
  bool x0_per_item = true;    // x0 is [n,pixels,channels]; else [pixels,channels]
  HAZE_HD ItemDims items() const { return {n, pixels * channels}; }
};

/// How x0 is brought to the noise level of x: sqrt(ᾱ_t) and sqrt(1-ᾱ_t); 1 and 0 at the end.
struct BlendStep {
  float signal = 1, noise = 0;
};

/// Where the mask is not 0, x = c.signal·x0 + c.noise·z: exactly x0 if
/// c is (1, 0); elsewhere x keeps what it has. x [n,pixels,channels]
/// and x0 f32. z is neither drawn nor read if c.noise is 0.
template <class S>
void blend(S stream, const BlendDims& d, const Late<BlendStep>& c, const std::uint8_t* mask,
           const float* x0, const Noise& z, float* x);

}  // namespace haze::kernels
