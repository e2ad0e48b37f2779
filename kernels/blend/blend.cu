// SPDX-License-Identifier: MIT
// blend.cu — CUDA version. One pass: a thread looks at the mask of its four elements and, where any
// of them is known, draws one block of Philox (none if there is no noise) and writes those. Large
// unknown areas cost their mask only.
#include "kernels/blend/blend.h"
#include "kernels/cuda/noise_quads.h"

namespace haze::kernels {
namespace {

template <bool kWhole>
__global__ void __launch_bounds__(kVecThreads)
    blend(BlendDims d, Late<BlendStep> late, const std::uint8_t* mask, const float* x0, Noise given,
          float* x) {
  const BlendStep c = late.get();
  const Noise noise = resolved(given);
  const ItemDims items = d.items();
  const unsigned blocks = unsigned(items.elements + kNormals - 1) / kNormals;
  for_each_vec(std::size_t(d.n), blocks, [&](std::size_t n, unsigned block) {
    const int first = int(block) * kNormals, count = items.elements - first;
    const std::size_t at = n * items.elements + first;
    const std::uint8_t* of_item = mask + (d.mask_per_item ? n * d.pixels : 0);
    int pixel = first / d.channels, channel = first - pixel * d.channels;
    bool known[kNormals], any = false;
#pragma unroll
    for (int k = 0; k < kNormals; ++k) {
      known[k] = k < count && of_item[pixel] != 0;
      any = any || known[k];
      if (++channel < d.channels) continue;
      channel = 0;
      ++pixel;
    }
    if (!any) return;
    float v[kNormals], z[kNormals] = {};
    if (c.noise != 0) normals_of<kWhole>(noise, items, n, block, z);
    read<kNormals, kWhole>(x0 + (d.x0_per_item ? at : first), count, v);
#pragma unroll
    for (int k = 0; k < kNormals; ++k)
      if (known[k]) x[at + k] = c.signal * v[k] + c.noise * z[k];
  });
}

}  // namespace

template <>
void blend(CudaStream s, const BlendDims& d, const Late<BlendStep>& c, const std::uint8_t* mask,
           const float* x0, const Noise& z, float* x) {
  const ItemDims items = d.items();
  const auto blocks = vec_blocks(std::size_t(d.n), std::size_t(normal_blocks(items.elements)));
  whole_vecs<kNormals>(items.elements, {x0, z.given, x}, [&]<bool kWhole>() {
    HAZE_LAUNCH((blend<kWhole>), s, blocks, kVecThreads, 0, d, c, mask, x0, z, x);
  });
}

}  // namespace haze::kernels
