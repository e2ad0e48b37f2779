// SPDX-License-Identifier: MIT
// dropout.cu — CUDA version. A thread draws one block of Philox, 128 bits, and applies it to its 8
// elements: 16 bytes of bf16, or 32 of f32. Forward and backward are one kernel.
#include "kernels/cuda/rows.h"
#include "kernels/dropout/dropout.h"

namespace haze::kernels {
namespace {

constexpr int kBlock = 8;  // elements of one block of Philox

template <class From, class To, bool kWhole>
__global__ void __launch_bounds__(kVecThreads)
    apply(ItemDims d, DropoutMask mask, const From* from, To* to, bool adds) {
  const RandomKey key = resolved(mask.key);
  const unsigned blocks = unsigned((d.elements + kBlock - 1) / kBlock);
  for_each_vec(std::size_t(d.n), blocks, [&](std::size_t n, unsigned block) {
    const Random4 bits = random4(key, mask.first_item + std::uint32_t(n), block);
    const int first = int(block) * kBlock, count = d.elements - first;
    const std::size_t at = n * d.elements + first;
    float v[kBlock], before[kBlock] = {};
    read<kBlock, kWhole>(from + at, count, v);
    if (adds) read<kBlock, kWhole>(to + at, count, before);
#pragma unroll
    for (int k = 0; k < kBlock; ++k) {
      const std::uint32_t draw = bits.v[k / 2] >> (k % 2 * 16) & 0xffffu;
      v[k] *= draw >= mask.threshold ? mask.scale : 0.0f;
      if (adds) v[k] += before[k];
    }
    write<kBlock, kWhole>(to + at, count, v);
  });
}

template <class From, class To>
void launch(CudaStream s, const ItemDims& d, const DropoutMask& mask, const From* from, To* to,
            bool adds) {
  whole_vecs<kBlock>(d.elements, {from, to}, [&]<bool kWhole>() {
    HAZE_LAUNCH((apply<From, To, kWhole>), s,
                vec_blocks(std::size_t(d.n), std::size_t(d.elements + kBlock - 1) / kBlock),
                kVecThreads, 0, d, mask, from, to, adds);
  });
}

}  // namespace

template <>
void dropout_forward(CudaStream s, const ItemDims& d, const DropoutMask& mask, ConstAct x, Act y) {
  dispatch(y.dtype, [&]<class T>(T) { launch(s, d, mask, x.as<T>(), y.as<T>(), false); });
}

template <>
void dropout_backward(CudaStream s, const ItemDims& d, const DropoutMask& mask, ConstAct dy,
                      Grad dx) {
  if (!dx) return;
  dispatch(dy.dtype, [&]<class F>(F) {
    dispatch(dx.dtype, [&]<class T>(T) { launch(s, d, mask, dy.as<F>(), dx.as<T>(), dx.adds()); });
  });
}

}  // namespace haze::kernels
