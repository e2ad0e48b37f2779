// SPDX-License-Identifier: MIT
// reference.h — the known part of an image as the formula reads, z given, in T (tests: double).
#pragma once
#include "kernels/blend/blend.h"

namespace haze::kernels::reference {

template <class T>
void blend(const BlendDims& d, const BlendStep& c, const std::uint8_t* mask, const T* x0,
           const T* z, T* x) {
  for (int n = 0; n < d.n; ++n)
    for (int p = 0; p < d.pixels; ++p) {
      const T m = mask[d.mask_per_item ? std::size_t(n) * d.pixels + p : std::size_t(p)] ? 1 : 0;
      for (int ch = 0; ch < d.channels; ++ch) {
        const std::size_t i = (std::size_t(n) * d.pixels + p) * d.channels + ch;
        const T known = x0[d.x0_per_item ? i : std::size_t(p * d.channels + ch)];
        x[i] = m * (T(c.signal) * known + T(c.noise) * z[i]) + (1 - m) * x[i];
      }
    }
}

}  // namespace haze::kernels::reference
