// SPDX-License-Identifier: MIT
// dropout.cpp — CPU backend. Bound by Philox, not by memory: 16 bits an element instead of 32 make
// it twice as fast.
#include "kernels/dropout/dropout.h"

#include <bit>
#include <cstring>

#include "kernels/base/stream.h"
#include "kernels/cpu/noise_tiles.h"

namespace haze::kernels {
namespace {

static_assert(std::endian::native == std::endian::little, "the low half of a word comes first");

/// The 16 bits of elements first .. of `item`, up to the next multiple of 128 after count.
void draw_bits(const RandomKey& key, std::uint32_t item, int first, int count,
               std::uint16_t bits[kTile]) {
  for (int done = 0; done < count; done += 128) {
    std::uint32_t words[64];
    random_words(key, item, std::uint32_t(first + done) / 8, words);
    std::memcpy(bits + done, words, sizeof(words));
  }
}

/// A function of its own: through a lambda's captures the loops would not vectorise.
template <class From, class To>
void apply(int count, const From* in, const std::uint16_t* bits, std::uint32_t threshold,
           float scale, To* out, bool adds) {
  if (adds) {
#pragma omp simd
    for (int i = 0; i < count; ++i)
      out[i] = float(out[i]) + float(in[i]) * (bits[i] >= threshold ? scale : 0.0f);
  } else {
#pragma omp simd
    for (int i = 0; i < count; ++i) out[i] = float(in[i]) * (bits[i] >= threshold ? scale : 0.0f);
  }
}

template <class From, class To>
void dropout(const ItemDims& d, const DropoutMask& mask, const From* from, To* to, bool adds) {
  const RandomKey key = resolved(mask.key);
  for_each_tile(d, [&](int item, int first, int count, std::int64_t) {
    std::uint16_t bits[kTile];
    draw_bits(key, mask.first_item + std::uint32_t(item), first, count, bits);
    const std::size_t at = std::size_t(item) * d.elements + std::size_t(first);
    apply(count, from + at, bits, mask.threshold, mask.scale, to + at, adds);
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
