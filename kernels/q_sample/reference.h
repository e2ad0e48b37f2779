// SPDX-License-Identifier: MIT
// reference.h — forward diffusion as the formula reads, in T (double in the tests), eps given.
#pragma once
#include "kernels/q_sample/q_sample.h"

namespace haze::kernels::reference {

template <class T>
void q_sample(const ItemDims& d, const T* x0, const std::int32_t* t, const NoiseSchedule& schedule,
              const T* eps, T* x_t) {
  for (int n = 0; n < d.n; ++n)
    for (int i = 0; i < d.elements; ++i) {
      const std::size_t at = std::size_t(n) * d.elements + i;
      x_t[at] = T(schedule.sqrt_alpha_bar[t[n]]) * x0[at] +
                T(schedule.sqrt_one_minus_alpha_bar[t[n]]) * eps[at];
    }
}

/// x0 [n,h,w,c] of images index[n], scaled, mirrored where flip[n].
template <class T>
void scale_images(const ImageDims& d, const std::uint8_t* images, const std::int32_t* index,
                  const bool* flip, bool zero_to_one, T* x0) {
  for (int n = 0; n < d.n; ++n)
    for (int y = 0; y < d.h; ++y)
      for (int x = 0; x < d.w; ++x)
        for (int c = 0; c < d.c; ++c) {
          const int from = flip[n] ? d.w - 1 - x : x;
          const T byte = images[((std::size_t(index[n]) * d.h + y) * d.w + from) * d.c + c];
          x0[((std::size_t(n) * d.h + y) * d.w + x) * d.c + c] =
              zero_to_one ? byte / 255 : byte / 255 * 2 - 1;
        }
}

}  // namespace haze::kernels::reference
