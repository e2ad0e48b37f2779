// SPDX-License-Identifier: MIT
// few_channels.cuh — images times weights where the channels fill no vectors of 16 bytes: pictures of 1
// or 3 channels, at a network's ends. Single elements are read and put into the tile by the threads
// themselves. What follows from the summed index is found out once for all rows of a thread.
#pragma once
#include "kernels/cuda/gemm/im2col.cuh"
#include "kernels/cuda/gemm/walk.cuh"

namespace haze::kernels::gemm {

/// A Walk (block.cuh). Weights are [outputs, kernel, channels] with k_major, read one by one, or
/// [channels, kernel, outputs], copied by vectors of outputs if `whole` (which are aligned then).
template <class Math, bool weights_k_major>
struct FewChannels {
  using T = typename Math::T;
  static constexpr int kK = Math::kK, V = mma::kVec16<T>, kSize = int(sizeof(T));
  using TileA = OperandTile<T, Math::kM, kK, true>;
  using TileB = OperandTile<T, Math::kN, kK, weights_k_major>;
  using RowsA = ThreadsVectors<TileA, Math::kThreads>;
  using RowsB = ThreadsVectors<TileB, Math::kThreads>;

  const Im2colView& view;
  const T *x, *x2, *w;
  const int outputs, n0, tap_elements, row_bytes;
  RowsA image;
  RowsB weights;
  bool whole;
  int k = 0;  // of the tile that is fetched next
  Pixel pixel[RowsA::kCount];

  HAZE_DEVICE FewChannels(const Im2colView& v, const T* first_tensor, const T* second_tensor,
                          const T* all_weights, int taps_of_kernel, int columns, bool vectors,
                          int m0, int n, int thread)
      : view(v),
        x(first_tensor),
        x2(second_tensor),
        w(all_weights),
        outputs(columns),
        n0(n),
        tap_elements(weights_k_major ? v.channels : columns),
        row_bytes(taps_of_kernel * tap_elements * kSize),
        image(thread),
        weights(thread),
        whole(vectors) {
#pragma unroll
    for (int j = 0; j < RowsA::kCount; ++j) pixel[j] = pixel_of(v, m0 + image.row_of(j));
  }

  HAZE_DEVICE void fetch(T* a, T* b) {
    Vec<T, V> from_x[RowsA::kCount], from_w[RowsB::kCount];
#pragma unroll
    for (int e = 0; e < V; ++e) {
      const Tap tap = tap_of(view, k + image.vec * V + e);
      const ImageTap<T> at(view, x, x2, tap);
#pragma unroll
      for (int j = 0; j < RowsA::kCount; ++j)
        from_x[j][e] = read(at.inside(view, pixel[j]), at.address(pixel[j]));
      if constexpr (weights_k_major) {
        const char* const column = address(w + tap.in_kernel * tap_elements + tap.channel);
#pragma unroll
        for (int j = 0; j < RowsB::kCount; ++j) {
          const int n_of_row = n0 + weights.row_of(j);
          from_w[j][e] = read(tap.in_kernel >= 0 && n_of_row < outputs,
                              column + std::int64_t(n_of_row) * row_bytes);
        }
      }
    }
#pragma unroll
    for (int j = 0; j < RowsA::kCount; ++j) image.put(a, j, from_x[j]);
    if constexpr (weights_k_major) {
#pragma unroll
      for (int j = 0; j < RowsB::kCount; ++j) weights.put(b, j, from_w[j]);
    } else {
      fetch_rows(b);
    }
    k += kK;
  }

 private:
  HAZE_DEVICE static const char* address(const T* p) { return reinterpret_cast<const char*>(p); }
  HAZE_DEVICE static T read(bool exists, const char* p) {
    return exists ? *reinterpret_cast<const T*>(p) : T(0.f);
  }
  /// Weights of one tap and channel each.
  HAZE_DEVICE void fetch_rows(T* b) const {
    const int n = n0 + weights.vec * V;
#pragma unroll
    for (int j = 0; j < RowsB::kCount; ++j) {
      const Tap tap = tap_of(view, k + weights.row_of(j));
      const char* const from =
          address(w + tap.in_kernel * tap_elements + n) + std::int64_t(tap.channel) * row_bytes;
      if (whole) {
        weights.copy(b, j, from, tap.in_kernel >= 0 && n < outputs);
      } else {
        Vec<T, V> v;
#pragma unroll
        for (int e = 0; e < V; ++e)
          v[e] = read(tap.in_kernel >= 0 && n + e < outputs, from + e * kSize);
        weights.put(b, j, v);
      }
    }
  }
};

}  // namespace haze::kernels::gemm
