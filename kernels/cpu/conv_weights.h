// SPDX-License-Identifier: MIT
// conv_weights.h — a convolution's gradient of its weights. Included by kernels' .cpp files only.
//
// The own product below, dw = dyᵀ x over all output pixels, where each pixel's row of x is the window
// that the kernel sees there, laid out while it is packed. Threads share out the elements of dw, not
// the pixels, so the bits do not depend on their number; oneDNN gives each thread a part of the batch
// and adds up what they found. With instructions for bf16 oneDNN is several times faster all the
// same, and computes bf16 there.
#pragma once
#include <algorithm>

#include "kernels/cpu/onednn_conv.h"
#include "kernels/cpu/products.h"

namespace haze::kernels::conv_weights {

using onednn::ConvBackwardWeights;
using onednn::ConvShape;
using onednn::WeightLayout;

/// to[p][j] = x under the kernel's row r and column s at output pixel first + p, channel c + j, for
/// j < width, of kW numbers per pixel; zero beyond the image.
template <int kW, class T>
void pack_pixels(const ConvShape& d, const T* x, int first, int depth, int r, int s, int c,
                 int width, float* to) {
  // Output columns [from, end) have their input column in the image.
  const int from = std::clamp((d.pad_left - s + d.stride - 1) / d.stride, 0, d.wo);
  const int end = std::clamp((d.w - 1 + d.pad_left - s + d.stride) / d.stride, from, d.wo);
  const std::ptrdiff_t step = std::ptrdiff_t(d.stride) * d.ci;
  const auto zeros = [&](int count) {
    for (; count > 0; --count, to += kW) std::fill_n(to, width, 0.f);
  };
  while (depth > 0) {
    const int q = first % d.wo, line = first / d.wo, count = std::min(depth, d.wo - q);
    const int y = line % d.ho * d.stride - d.pad_top + r;
    const int a = y < 0 || y >= d.h ? q + count : std::clamp(from, q, q + count);
    const int b = std::clamp(end, a, q + count);
    zeros(a - q);
    const std::ptrdiff_t row = (std::ptrdiff_t(line / d.ho) * d.h + y) * d.w;
    const T* in = x + (row + std::ptrdiff_t(a) * d.stride - d.pad_left + s) * d.ci + c;
    if (a < b) products::pack_part<kW>(b - a, width, in, step, to);
    to += std::ptrdiff_t(b - a) * kW;
    zeros(q + count - b);
    first += count, depth -= count;
  }
}

/// Columns [column, column + kW) of x's windows, [kh,kw,ci] of them, as one panel.
template <int kW, class T>
void pack_windows(const ConvShape& d, const T* x, int first, int depth, int column, float* to) {
  const int columns = d.kh * d.kw * d.ci, width = std::min(kW, columns - column);
  for (int j = 0; j < width;) {
    const int at = column + j, c = at % d.ci, tap = at / d.ci;
    const int run = std::min(width - j, d.ci - c);
    pack_pixels<kW>(d, x, first, depth, tap / d.kw, tap % d.kw, c, run, to + j);
    j += run;
  }
  if (width < kW)
    for (int p = 0; p < depth; ++p) std::fill_n(to + p * kW + width, kW - width, 0.f);
}

/// The own product. dw [co, kh·kw·ci] has windows as columns; dw [ci,kh,kw,co] has them as rows.
struct Own : products::OverRows {
  ConvShape d;
  Own(void* base, const ConvShape& c)
      : OverRows(base, windows_are_rows(c) ? c.kh * c.kw * c.ci : c.co,
                 windows_are_rows(c) ? c.co : c.kh * c.kw * c.ci, c.n * c.ho * c.wo),
        d(c) {}
  static bool windows_are_rows(const ConvShape& c) { return c.layout == WeightLayout::ihwo; }

  template <class T, class G>
  void run(const T* x, const T* dy, G* dw, bool adds) const {
    const auto windows = [=, this]<int kW>(int first, int depth, int at, float* to) {
      pack_windows<kW>(d, x, first, depth, at, to);
    };
    const auto gradients = [=, this]<int kW>(int first, int depth, int at, float* to) {
      products::pack_rows<kW>(depth, std::min(kW, d.co - at),
                              dy + std::ptrdiff_t(first) * d.co + at, d.co, to);
    };
    if (windows_are_rows(d)) {
      const auto place = [=, this](int row) {
        return dw + (std::ptrdiff_t(row % d.ci) * d.kh * d.kw + row / d.ci) * d.co;
      };
      OverRows::run(windows, gradients, products::storing(place, adds));
    } else {
      const auto place = [=, this](int row) { return dw + std::ptrdiff_t(row) * n; };
      OverRows::run(gradients, windows, products::storing(place, adds));
    }
  }
};

/// oneDNN's bf16 primitive, which also sums dy into dbias; null where the own product computes.
inline ConvBackwardWeights* native(const ConvShape& c, DType dw, bool bias, bool adds) {
  return ConvBackwardWeights::of({c, dw, bias, adds});
}

inline std::size_t scratch_bytes(const ConvShape& c, const Grad& dw, bool bias) {
  if (const auto* theirs = native(c, dw.dtype, bias, dw.adds())) return theirs->scratch_bytes();
  return Own(nullptr, c).bytes();
}

/// dw (+)= Σ dy x in f32, delivered in the type of its buffer. dbias [co] = Σ dy unless null, which it
/// is where there is no native().
inline void run(const ConvShape& c, const void* x, const void* dy, const Grad& dw, float* dbias,
                void* scratch) {
  if (auto* theirs = native(c, dw.dtype, dbias != nullptr, dw.adds()))
    return theirs->run(x, dy, dw.data, dbias, scratch);
  dispatch(c.images, [&]<class T>(T) {
    dispatch(dw.dtype, [&]<class G>(G) {
      Own(scratch, c)
          .run(static_cast<const T*>(x), static_cast<const T*>(dy), dw.as<G>(), dw.adds());
    });
  });
}

}  // namespace haze::kernels::conv_weights
