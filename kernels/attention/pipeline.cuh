// SPDX-License-Identifier: MIT
// pipeline.cuh — CUDA backend: which block of threads does what in attention, and how its tiles
// reach shared memory while it computes.
//
// One block owns kRows rows of one image and head, and kD columns of the result. A head wider than
// kD is walked in chunks of kD columns: the scores are sums over all of them, and each block writes
// one. A step is one chunk of one block of columns; chunks are taken in such an order that the
// block's own is the last, so that its tile is at hand when the scores are complete. While step t
// is computed, the tiles of step t + 1 arrive in the other half of a ring of two.
#pragma once
#include "kernels/attention/tiles.cuh"

namespace haze::kernels::attention {

/// The launch, as host and device see it.
struct AttentionPlan {
  AttentionDims d;
  int channels, row_blocks, chunks;
  bool vectors;  // every row and head of every operand starts at a 16-byte boundary

  template <class P>
  static AttentionPlan of(const AttentionDims& d, std::initializer_list<const void*> operands) {
    constexpr int n = int(16 / sizeof(typename P::Element));
    const int c = d.channels();
    bool vectors = ((c | d.head_dim | d.head_stride | d.k_offset | d.v_offset) % n) == 0;
    for (const void* p : operands) vectors &= reinterpret_cast<std::uintptr_t>(p) % 16 == 0;
    return {d, c, (d.tokens + P::kRows - 1) / P::kRows, (d.head_dim + P::kD - 1) / P::kD, vectors};
  }
  unsigned blocks() const {
    const std::int64_t n = std::int64_t(d.n) * d.heads * row_blocks * chunks;
    HAZE_CHECK(n < std::int64_t(1) << 31, "attention over ", d.n, " images, ", d.heads, " heads, ",
               d.tokens, " tokens is too large for one launch");
    return unsigned(n);
  }
  /// Bytes of shared memory with `left` operands that own the rows: one copy of them when they
  /// stay, two when their chunks come and go; two stages of the two other operands; scratch.
  template <class P>
  std::size_t shared_bytes(int left) const {
    const std::size_t tiles = std::size_t(left) * P::kRows * (chunks > 1 ? 2 : 1) + 4 * P::kCols;
    return tiles * P::kD * sizeof(typename P::Element) + 6 * P::kCols * sizeof(float) + P::kScratch;
  }
};

/// What this block of threads works on.
struct AttentionBlock {
  int chunk, row;                 // its chunk of the result; its first row
  std::size_t image_head, first;  // the latter's index in [n, heads, tokens], token 0
  std::size_t qkv, out;           // index of token 0's q in qkv, and in o

  HAZE_HD AttentionBlock(const AttentionPlan& p, unsigned block, int rows) {
    chunk = int(block) % p.chunks;
    row = int(block) / p.chunks % p.row_blocks * rows;
    image_head = block / unsigned(p.chunks) / unsigned(p.row_blocks);
    first = image_head * std::size_t(p.d.tokens);
    const std::size_t n = image_head / unsigned(p.d.heads), h = image_head % unsigned(p.d.heads);
    const std::size_t token = n * std::size_t(p.d.tokens), c = std::size_t(p.channels);
    qkv = token * 3 * c + h * std::size_t(p.d.head_stride);
    out = token * c + h * std::size_t(p.d.head_dim);
  }
};

struct Step {
  int block = 0, chunk = 0;
  HAZE_HD Step next(int chunks) const {
    return chunk + 1 < chunks ? Step{block, chunk + 1} : Step{block + 1, 0};
  }
};

/// The tiles of one step. `left` owns the rows, `right` the columns; the numbers per column follow.
template <class T, int kLeft>
struct StepTiles {
  T *left[kLeft], *right[2];
  float* numbers[3];
};

/// Forward: left q, right k and, with the last chunk, v. Backward: two left and two right operands;
/// for dk and dv also three numbers per column.
template <class P, int kLeft, bool kNumbers = false>
struct Pipeline {
  using T = typename P::Element;
  T* shared;
  Matrix<T> left[kLeft], right[2];
  const float* numbers[3];
  int row, chunks, own_chunk, half;

  HAZE_HD int blocks() const { return (right[0].rows + P::kCols - 1) / P::kCols; }
  HAZE_HD int column(const Step& step) const {
    return (own_chunk + 1 + step.chunk) % chunks * P::kD;
  }
  /// Of the step's chunk, and of its block: how much is there.
  HAZE_HD int width(const Step& step) const {
    const int rest = left[0].d - column(step);
    return rest < P::kD ? rest : P::kD;
  }
  HAZE_HD int cols(const Step& step) const {
    const int rest = right[0].rows - step.block * P::kCols;
    return rest < P::kCols ? rest : P::kCols;
  }

  HAZE_HD StepTiles<T, kLeft> tiles(int which) const {
    constexpr int kLeftTile = P::kRows * P::kD, kRightTile = P::kCols * P::kD;
    StepTiles<T, kLeft> t;
    T* const rights = shared + (chunks > 1 ? 2 : 1) * kLeft * kLeftTile;
    float* const floats = reinterpret_cast<float*>(rights + 4 * kRightTile);
    for (int i = 0; i < kLeft; ++i)
      t.left[i] = shared + ((chunks > 1 ? which : 0) * kLeft + i) * kLeftTile;
    for (int i = 0; i < 2; ++i) t.right[i] = rights + (2 * which + i) * kRightTile;
    for (int i = 0; i < 3; ++i) t.numbers[i] = floats + (3 * which + i) * P::kCols;
    return t;
  }
  /// The policy's.
  HAZE_HD float* scratch() const { return tiles(0).numbers[0] + 6 * P::kCols; }
};

template <class P, int kLeft, bool kNumbers>
HAZE_DEVICE void start_loading(const Pipeline<P, kLeft, kNumbers>& p, const Step& step) {
  const auto to = p.tiles(p.half);
  const int column = p.column(step), first = step.block * P::kCols;
  const bool last = step.chunk == p.chunks - 1;
  if (p.chunks > 1 || step.block == 0) {
#pragma unroll
    for (int i = 0; i < kLeft; ++i)
      load_tile<P::kRows, P::kD>(to.left[i], p.left[i], p.row, column);
  }
  load_tile<P::kCols, P::kD>(to.right[0], p.right[0], first, column);
  if (kLeft == 2 || last) load_tile<P::kCols, P::kD>(to.right[1], p.right[1], first, column);
  if (kNumbers && last)
#pragma unroll
    for (int i = 0; i < 3; ++i)
      if (const int c = int(threadIdx.x); c < P::kCols) {
        const bool inside = first + c < p.right[0].rows;
        ptx::cp_async4(to.numbers[i] + c, p.numbers[i] + (inside ? first + c : 0), inside ? 4 : 0);
      }
  ptx::cp_async_commit();
}

/// Waits for the tiles of `step`, and starts to load those of the next one over the tiles of the
/// one before, which all threads have left behind at this barrier.
template <class P, int kLeft, bool kNumbers>
HAZE_DEVICE auto next_tiles(Pipeline<P, kLeft, kNumbers>& p, const Step& step) {
  ptx::cp_async_wait<0>();
  __syncthreads();
  const auto tiles = p.tiles(p.half);
  p.half ^= 1;
  const Step next = step.next(p.chunks);
  if (next.block < p.blocks()) start_loading(p, next);
  return tiles;
}

/// y[row][c] = factor(r)·sums, or added to it, for what is inside `rows` and `width`. y is element
/// (0, 0) of the block's part of the result.
template <class P, class T, class F>
HAZE_DEVICE void write_rows(typename P::Sums& sums, F&& factor, T* y, std::ptrdiff_t stride,
                            int rows, int width, bool add, bool vectors) {
#pragma unroll
  for (int r = 0; r < P::kR; ++r) {
    if (P::row(r) >= rows) continue;
    T* const to_row = y + P::row(r) * stride;
#pragma unroll
    for (int c = 0; c < P::kSums; c += P::kGroup) {
      const int first = P::sum_col(c);
      Vec<T, P::kGroup> v = {};
      if (vectors && first < width) {
        if (add) v = load<P::kGroup>(to_row + first);
        for (int e = 0; e < P::kGroup; ++e) v[e] = float(v[e]) + factor(r) * sums(r, c + e);
        store(to_row + first, v);
      } else {
        for (int e = 0; e < P::kGroup; ++e)
          if (first + e < width)
            to_row[first + e] =
                (add ? float(to_row[first + e]) : 0.0f) + factor(r) * sums(r, c + e);
      }
    }
  }
}

}  // namespace haze::kernels::attention
