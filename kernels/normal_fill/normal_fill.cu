// SPDX-License-Identifier: MIT
// normal_fill.cu — CUDA version. A thread draws one block of Philox and writes its four normals, 16
// bytes. Bound by arithmetic: 10 rounds of two wide products, then two Box-Muller pairs.
#include "kernels/cuda/noise_quads.h"
#include "kernels/normal_fill/normal_fill.h"

namespace haze::kernels {
namespace {

template <bool kWhole>
__global__ void __launch_bounds__(kVecThreads)
    fill(ItemDims d, RandomKey given_key, std::uint32_t first_item, float* x) {
  const RandomKey key = resolved(given_key);
  const unsigned blocks = unsigned(d.elements + kNormals - 1) / kNormals;
  for_each_vec(std::size_t(d.n), blocks, [&](std::size_t n, unsigned block) {
    float z[kNormals];
    normal4(key, first_item + std::uint32_t(n), block, z);
    const int first = int(block) * kNormals;
    write<kNormals, kWhole>(x + n * d.elements + first, d.elements - first, z);
  });
}

}  // namespace

template <>
void normal_fill(CudaStream s, const ItemDims& d, const RandomKey& key, std::uint32_t first_item,
                 float* x) {
  whole_vecs<kNormals>(d.elements, {x}, [&]<bool kWhole>() {
    HAZE_LAUNCH((fill<kWhole>), s,
                vec_blocks(std::size_t(d.n), std::size_t(normal_blocks(d.elements))), kVecThreads,
                0, d, key, first_item, x);
  });
}

}  // namespace haze::kernels
