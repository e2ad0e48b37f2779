// SPDX-License-Identifier: MIT
// blend.cpp — CPU backend: one pass, z drawn per tile.
#include "kernels/blend/blend.h"

#include "kernels/base/stream.h"
#include "kernels/cpu/noise_tiles.h"

namespace haze::kernels {

template <>
void blend(CpuStream, const BlendDims& d, const Late<BlendStep>& late, const std::uint8_t* mask,
           const float* x0, const Noise& z, float* x) {
  const BlendStep c = late.get();
  const Noise noise = resolved(z);
  const ItemDims items = d.items();
  for_each_tile(items, [&](int item, int first, int count, std::int64_t) {
    const std::size_t at = std::size_t(item) * items.elements + std::size_t(first);
    const std::uint8_t* known = mask + (d.mask_per_item ? std::size_t(item) * d.pixels : 0);
    const float* from = x0 + (d.x0_per_item ? at : std::size_t(first));
    float scratch[kTile] = {};
    const float* eps =
        c.noise == 0 ? scratch : noise_of_tile(noise, items, item, first, count, scratch);
    for (int i = 0; i < count; ++i)
      if (known[(first + i) / d.channels]) x[at + i] = c.signal * from[i] + c.noise * eps[i];
  });
}

}  // namespace haze::kernels
