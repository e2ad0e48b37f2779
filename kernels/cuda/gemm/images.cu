// SPDX-License-Identifier: MIT
// images.cu — images times weights, as one matrix product per call (implicit GEMM):
//
//   y [pixels, outputs] = x [pixels, taps·channels] w [taps·channels, outputs] + summands
//
// The matrix of x is never written: a thread that copies 16 bytes of it computes where in the image
// they are, and copies zeros where that is outside (im2col.cuh). A block makes 64x64 or 128x128 of
// y. Blocks that share pixels are neighbours in the grid, so that x comes from memory once and from
// L2 for the other outputs.
//
// From a small image to a large one with stride 2, large pixels of one parity of row and column
// are under the taps of one parity alone: four products with a quarter of the pixels and of the taps
// each, side by side in the grid's third dimension. Nothing is multiplied by a zero in between.
#include <algorithm>

#include "kernels/cuda/gemm/block.cuh"
#include "kernels/cuda/gemm/few_channels.cuh"
#include "kernels/cuda/gemm/walk.cuh"
#include "kernels/cuda/rows.h"

namespace haze::kernels::gemm {
namespace {

/// One of the products, and where its pixels are in y. Of a stride 1 there is one; of a large image
/// from a small one with stride s there are s·s, one for each phase of a pixel's row and column.
struct Phase {
  Im2colView view;
  int row0 = 0, column0 = 0, step = 1;  // pixel (p, q) is (p·step + row0, q·step + column0) of y
};
constexpr int kPhases = 4;

template <class T>
struct ImageArguments {
  Phase phases[kPhases];
  int tiles[kPhases];  // of the summed index
  const T *x, *x2, *w;
  const float* bias;
  const T *per_channel, *residual, *residual2;
  T *y, *y2;
  int outputs, first_outputs, kernel, y_rows, y_columns;
  bool whole_rows;   // 16-byte vectors of outputs of the weights are whole
  bool whole;        // 8 results of a row are whole 16-byte vectors of every operand
  Divide by_blocks;  // of 64 or 128 outputs
};

/// sums[e] += from[e] for e < count, which is 8 with `whole`.
template <class T>
HAZE_DEVICE void add(float (&sums)[8], const T* from, int count, bool whole) {
  float v[8];
  whole ? read<8, true>(from, count, v) : read<8, false>(from, count, v);
#pragma unroll
  for (int e = 0; e < 8; ++e) sums[e] += v[e];
}

/// Adds the residual to 8 results and writes them, or the first `count` of them.
template <class T>
HAZE_DEVICE void store_results(const ImageArguments<T>& a, std::size_t at, int count,
                               const T* residual, T* y, float (&sums)[8]) {
  if (!y) return;
  if (residual) add(sums, residual + at, count, a.whole);
  a.whole ? write<8, true>(y + at, count, sums) : write<8, false>(y + at, count, sums);
}

/// The same for the second tensor's, of which the 8 begin at channel n: before 0, where only the
/// last of them are its.
template <class T>
HAZE_DEVICE void store_second(const ImageArguments<T>& a, std::size_t row, int n,
                              float (&sums)[8]) {
  const int channels = a.outputs - a.first_outputs;
  if (n >= 0) return store_results(a, row + n, channels - n, a.residual2, a.y2, sums);
  if (!a.y2) return;
#pragma unroll
  for (int e = 1; e < 8; ++e)
    if (n + e >= 0 && n + e < channels) {
      const std::size_t at = row + n + e;
      a.y2[at] = T(sums[e] + (a.residual2 ? float(a.residual2[at]) : 0.0f));
    }
}

template <class Math, bool weights_k_major, bool vector>
__global__ void __launch_bounds__(Math::kThreads, Math::kBlocks - !vector)
    images_by_weights(const __grid_constant__ ImageArguments<typename Math::T> a) {
  using T = typename Math::T;
  HAZE_DYNAMIC_SHARED(float, shared);
  const Phase& phase = a.phases[blockIdx.z];
  const Im2colView& view = phase.view;
  const int block = a.by_blocks.quotient(int(blockIdx.x));
  const int m0 = block * Math::kM, n0 = a.by_blocks.remainder(int(blockIdx.x), block) * Math::kN;
  if (m0 >= view.pixels()) return;  // another phase has more

  if constexpr (vector) {
    using Walk = ChannelsAndTaps<Math, weights_k_major>;
    product<Math>(Walk(view, a.x, a.x2, a.w, a.kernel, a.outputs, m0, n0, int(threadIdx.x)),
                  a.tiles[blockIdx.z], shared);
  } else {
    using Walk = FewChannels<Math, weights_k_major>;
    product<Math>(
        Walk(view, a.x, a.x2, a.w, a.kernel, a.outputs, a.whole_rows, m0, n0, int(threadIdx.x)),
        a.tiles[blockIdx.z], shared);
  }

  each_result<Math>(shared, [&](int row, int column, float(&sums)[8]) {
    const int m = m0 + row, n = n0 + column, count = a.outputs - n;
    if (m >= view.pixels() || count <= 0) return;
    const int image = view.by_grid.quotient(m), rest = view.by_grid.remainder(m, image);
    const int p = view.by_grid_columns.quotient(rest), q = view.by_grid_columns.remainder(rest, p);
    const std::size_t y_row = std::size_t(image) * a.y_rows + p * phase.step + phase.row0;
    const std::size_t pixel = y_row * a.y_columns + q * phase.step + phase.column0;
    if (a.bias) add(sums, a.bias + n, count, a.whole);
    if (a.per_channel)
      add(sums, a.per_channel + std::size_t(image) * a.outputs + n, count, a.whole);
    const int first = a.first_outputs;
    if (n < first) store_results(a, pixel * first + n, first - n, a.residual, a.y, sums);
    if (n + 8 > first && first < a.outputs)
      store_second(a, pixel * (a.outputs - first), n - first, sums);
  });
}

template <class T>
ImageArguments<T> image_arguments(const Operands& o, const Geometry& g, int y_rows, int y_columns) {
  const auto optional = [](const ConstAct& v) { return v ? v.as<T>() : nullptr; };
  ImageArguments<T> a;
  a.x = o.x.as<T>(), a.x2 = optional(o.x2), a.w = o.w.as<T>(), a.bias = o.bias;
  a.y = o.y ? o.y.as<T>() : nullptr, a.y2 = o.y2 ? o.y2.as<T>() : nullptr;
  a.per_channel = optional(o.per_channel), a.residual = optional(o.residual);
  a.residual2 = optional(o.residual2);
  a.outputs = o.outputs, a.first_outputs = o.outputs - o.outputs2, a.kernel = g.taps(),
  a.y_rows = y_rows, a.y_columns = y_columns;
  a.whole = o.outputs % 8 == 0 && o.outputs2 % 8 == 0 &&
            aligned16({o.bias, o.y.data, o.y2.data, o.per_channel.data, o.residual.data,
                       o.residual2.data});
  return a;
}

template <class Math, bool weights_k_major, bool vector>
void launch(CudaStream s, ImageArguments<typename Math::T> a, int phases) {
  using T = typename Math::T;
  std::int64_t pixels = 0;
  for (int i = 0; i < phases; ++i) {
    Im2colView& view = a.phases[i].view;
    // By the number of channels alone: how many tensors they come in changes no bit.
    const bool by_blocks = view.channels % mma::kVec16<T> == 0 && a.kernel <= kMostTaps;
    view.block = by_blocks ? Math::kK : 0;
    view.prepare(sizeof(T));
    a.tiles[i] = (view.taps() + Math::kK - 1) / Math::kK;
    pixels = std::max<std::int64_t>(pixels, view.pixels());
  }
  const int columns = (a.outputs + Math::kN - 1) / Math::kN;
  a.by_blocks = Divide(columns);
  const auto blocks = (pixels + Math::kM - 1) / Math::kM * columns;
  HAZE_CHECK(blocks < std::int64_t{1} << 31, "a grid of ", blocks, " blocks");
  HAZE_LAUNCH((images_by_weights<Math, weights_k_major, vector>), s,
              dim3(unsigned(blocks), 1, unsigned(phases)), Math::kThreads, shared_bytes<Math>(), a);
}

/// Picks the kernel. Every kernel of one type sums in the same order, so that the choice may depend
/// on the number of images.
template <class T>
void run(CudaStream s, const Operands& o, ImageArguments<T> a, int phases) {
  constexpr int V = int(16 / sizeof(T));
  const bool k_major = o.order == WeightOrder::outputs_first;
  const bool vector = o.channels % V == 0 && o.channels2 % V == 0 &&
                      (k_major || o.outputs % V == 0) && a.kernel <= kMostTaps &&
                      aligned16({o.x.data, o.x2.data, o.w.data});
  a.whole_rows = o.outputs % V == 0 && aligned16({o.w.data});
  const auto with = [&]<class Math>(Math*) {
    k_major ? launch<Math, true, true>(s, a, phases) : launch<Math, false, true>(s, a, phases);
  };
  if (!vector)
    return k_major ? launch<Small<T>, true, false>(s, a, phases)
                   : launch<Small<T>, false, false>(s, a, phases);
  if constexpr (sizeof(T) == 4) {
    if (s.tf32) return with(static_cast<SmallTf32*>(nullptr));
  } else {
    const std::int64_t large =
        (std::int64_t{a.phases[0].view.pixels()} + 127) / 128 * ((o.outputs + 127) / 128) * phases;
    if (o.outputs > 64 && large >= kFullDevice) return with(static_cast<Large<T>*>(nullptr));
  }
  with(static_cast<Small<T>*>(nullptr));
}

}  // namespace

void small_from_large(CudaStream s, const Geometry& g, const Operands& o) {
  check(g, o.channels, o.outputs);
  dispatch(o.x.dtype, [&]<class T>(T) {
    auto a = image_arguments<T>(o, g, g.ho, g.wo);
    a.phases[0].view = small_by_large(g, o.channels, o.channels2);
    run<T>(s, o, a, 1);
  });
}

void large_from_small(CudaStream s, const Geometry& g, const Operands& o) {
  check(g, o.channels, o.outputs);
  dispatch(o.x.dtype, [&]<class T>(T) {
    auto a = image_arguments<T>(o, g, g.h, g.w);
    // Large pixel P is under tap r of small pixel p where P = p·stride - pad + r. For P = P'·stride +
    // i the taps are r0, r0 + stride, ... with r0 = (i + pad) mod stride, and the first of them
    // belongs to p = P' + (i + pad - r0) / stride, the next ones p - 1, p - 2, ...
    const auto axis = [&](int small, int pad, int i) {
      return Axis{small, 1, (i + pad) / g.stride, -1};
    };
    const auto taps = [&](int kernel, int first) {
      return kernel > first ? (kernel - first + g.stride - 1) / g.stride : 0;
    };
    for (int i = 0; i < g.stride; ++i)
      for (int j = 0; j < g.stride; ++j) {
        Phase& phase = a.phases[i * g.stride + j];
        phase.row0 = i, phase.column0 = j, phase.step = g.stride;
        Im2colView& v = phase.view;
        v.rows = axis(g.ho, g.pad_top, i), v.columns = axis(g.wo, g.pad_left, j);
        v.images = g.n, v.channels = v.first = o.channels, v.kernel_columns = g.kw,
        v.tap_step = g.stride;
        v.grid_rows = (g.h - i + g.stride - 1) / g.stride;
        v.grid_columns = (g.w - j + g.stride - 1) / g.stride;
        v.tap_row0 = (i + g.pad_top) % g.stride, v.tap_column0 = (j + g.pad_left) % g.stride;
        v.tap_rows = taps(g.kh, v.tap_row0), v.tap_columns = taps(g.kw, v.tap_column0);
      }
    run<T>(s, o, a, g.stride * g.stride);
  });
}

}  // namespace haze::kernels::gemm
