// dropout.cpp — CPU backend. Bound by Philox, not by memory: 16 bits an element instead of 32 make
// it twice as fast.
#include "kernels/dropout/dropout.h"

#include "kernels/common/noise_tiles.h"
#include "kernels/common/stream.h"

namespace haze::kernels {
namespace {

/// factor[0 .. count) of elements first .. of `item`; writes up to the next multiple of 128.
void draw_factors(const DropoutMask& mask, std::uint32_t item, int first, int count,
                  float* factor) {
  const std::uint32_t threshold = mask.threshold;
  const float scale = mask.scale;
  for (int done = 0; done < count; done += 128) {
    std::uint32_t bits[4][16];
    random_blocks(mask.key, item, std::uint32_t(first + done) / 8, bits);
    for (int word = 0; word < 4; ++word) {
      float* out = factor + done + 2 * word;
#pragma omp simd
      for (int b = 0; b < 16; ++b) {
        out[8 * b] = (bits[word][b] & 0xffffu) >= threshold ? scale : 0.0f;
        out[8 * b + 1] = (bits[word][b] >> 16) >= threshold ? scale : 0.0f;
      }
    }
  }
}

template <class From, class To>
void dropout(const ItemDims& d, const DropoutMask& mask, const From* from, To* to, bool adds) {
  for_each_tile(d, [&](int item, int first, int count, std::int64_t) {
    float factor[kTile];
    draw_factors(mask, mask.first_item + std::uint32_t(item), first, count, factor);
    const std::size_t at = std::size_t(item) * d.elements + std::size_t(first);
    const From* in = from + at;
    To* out = to + at;
    if (adds) {
#pragma omp simd
      for (int i = 0; i < count; ++i) out[i] = float(out[i]) + float(in[i]) * factor[i];
    } else {
#pragma omp simd
      for (int i = 0; i < count; ++i) out[i] = float(in[i]) * factor[i];
    }
  });
}

}  // namespace

template <>
void dropout_forward(CpuStream, const ItemDims& d, const DropoutMask& mask, ConstAct x, Act y) {
  dispatch(y.dtype, [&]<class T>(T) { dropout(d, mask, x.as<T>(), y.as<T>(), false); });
}

template <>
void dropout_backward(CpuStream, const ItemDims& d, const DropoutMask& mask, ConstAct dy, Grad dx) {
  dispatch(dy.dtype, [&]<class F>(F) {
    dispatch(dx.dtype, [&]<class T>(T) { dropout(d, mask, dy.as<F>(), dx.as<T>(), dx.adds()); });
  });
}

}  // namespace haze::kernels
