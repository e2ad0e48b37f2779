// SPDX-License-Identifier: MIT
// normal_fill.cpp — CPU backend.
#include "kernels/normal_fill/normal_fill.h"

#include "kernels/base/stream.h"
#include "kernels/cpu/noise_tiles.h"

namespace haze::kernels {

template <>
void normal_fill(CpuStream, const ItemDims& d, const RandomKey& given, std::uint32_t first_item,
                 float* x) {
  const RandomKey key = resolved(given);
  for_each_tile(d, [&](int item, int first, int count, std::int64_t) {
    float z[kTile];
    draw_normals(key, first_item + std::uint32_t(item), first, count, z);
    std::copy_n(z, count, x + std::size_t(item) * d.elements + first);
  });
}

}  // namespace haze::kernels
