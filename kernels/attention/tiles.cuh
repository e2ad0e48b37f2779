// SPDX-License-Identifier: MIT
// tiles.cuh — CUDA backend: what attention's forward and backward are made of.
//
// A block of 4 warps owns 64 or 128 rows (queries, or keys for dk and dv), 16 or 32 per warp, and
// walks over the other side in steps of kCols columns. A warp holds its rows' kCols scores and kD
// sums in registers, so softmax along a row is arithmetic within a few lanes. Two policies multiply
// tiles:
//   AttentionMma  bf16; the scores' accumulators are, rounded, the left operand of the next product
//   AttentionFma         f32; the weights pass from lane to lane through 10 KB of shared memory
// Both have the same members, so each kernel is written once. 32 rows per warp use each fragment of
// the right operand twice, and halve what the block reads from L2 and from shared memory.
//
// A tile [rows, kD] lies in shared memory as swizzled vectors of 16 bytes (mma.cuh): no product and
// no copy has a bank conflict.
#pragma once
#include "kernels/attention/attention.h"
#include "kernels/base/math.h"
#include "kernels/cuda/mma.cuh"

namespace haze::kernels::attention {

constexpr int kThreads = 128;

using mma::lane_id, mma::warp_id;

/// The 16 bytes of row r that begin with column v·(16 / sizeof(T)).
template <int kD, class T>
HAZE_DEVICE T* vec16(T* tile, int r, int v) {
  return tile + mma::swizzle<T, kD / mma::kVec16<T>>(r, v);
}

/// [rows, d] of one image and head in global memory. `vectors`: rows start at 16-byte boundaries
/// and d is a whole number of vectors.
template <class T>
struct Matrix {
  const T* data;
  std::ptrdiff_t stride;
  int rows, d;
  bool vectors;
};

/// Starts to copy rows [row, row + kTileRows) and columns [col, col + kD) of m; what lies beyond m
/// becomes zero, up to whole 16 columns (f32: 32), which is what the products read.
template <int kTileRows, int kD, class T>
HAZE_DEVICE void load_tile(T* tile, const Matrix<T>& m, int row, int col) {
  constexpr int kVec = mma::kVec16<T>, kVecs = kD / kVec;
  constexpr int kWhole = kVec == 8 ? 2 : 8;  // vectors
  const int vecs = (m.d - col + kWhole * kVec - 1) / (kWhole * kVec) * kWhole;
#pragma unroll 4
  for (int i = int(threadIdx.x); i < kTileRows * kVecs; i += kThreads) {
    const int r = i / kVecs, v = i % kVecs, c = col + v * kVec;
    if (v >= vecs) continue;
    T* const to = vec16<kD>(tile, r, v);
    const T* const from = m.data + std::ptrdiff_t(row + r) * m.stride + c;
    if (m.vectors) {
      const bool inside = row + r < m.rows && c < m.d;
      ptx::cp_async16(to, inside ? from : m.data, inside ? 16 : 0);
    } else {
      Vec<T, kVec> values;
      for (int e = 0; e < kVec; ++e)
        values[e] = row + r < m.rows && c + e < m.d ? float(from[e]) : 0.0f;
      store(to, values);
    }
  }
}

/// A lane's scores and sums: kR rows, and at each kC (or kSums) columns.
template <int kR, int kC>
struct PerRow {
  float v[kR][kC];
  HAZE_HD float& operator()(int r, int c) { return v[r][c]; }
};

/// Two weights, rounded, in one register.
HAZE_DEVICE std::uint32_t pack(float low, float high) {
#if defined(__CUDA_ARCH__)
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&both);
#else
  return std::uint32_t(bf16(low).bits) | std::uint32_t(bf16(high).bits) << 16;
#endif
}

/// The accumulators of mma.sync by the lane's own rows and columns.
template <int kM, int kN>
struct MmaScores : mma::Accumulators<kM, kN> {
  HAZE_HD float& operator()(int r, int c) { return this->v[r / 2][c / 2][2 * (r % 2) + c % 2]; }
};

/// kM times 16 rows per warp.
template <int kD_, int kCols_, int kM>
struct AttentionMma {
  using Element = bf16;
  static constexpr int kD = kD_, kCols = kCols_, kRows = 64 * kM;
  static constexpr int kR = 2 * kM, kC = kCols / 4, kSums = kD / 4;  // per lane
  static constexpr int kGroup = 2;    // neighbouring columns among the sums
  static constexpr int kScratch = 0;  // bytes of shared memory
  using Scores = MmaScores<kM, kCols / 8>;
  using Sums = MmaScores<kM, kD / 8>;

  HAZE_DEVICE static int warp_row() { return warp_id() * 16 * kM; }  // the warp's first
  /// Where a lane's score (r, c) is in the block's tile; likewise its sum.
  HAZE_DEVICE static int row(int r) { return warp_row() + Scores::row_in(r); }
  HAZE_DEVICE static int col(int c) { return c / 2 * 8 + Scores::column_in() + c % 2; }
  HAZE_DEVICE static int sum_col(int c) { return col(c); }

  /// Over the lanes that share a row.
  HAZE_DEVICE static float row_sum(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
  }
  HAZE_DEVICE static float row_max(float x) {
    for (int lanes = 1; lanes < 4; lanes *= 2) {
      const float y = __shfl_xor_sync(0xffffffffu, x, lanes);
      x = y > x ? y : x;
    }
    return x;
  }
  /// e^(score·scale - shift) as 2^(score·factor - offset), in two instructions, with factor and
  /// offset the others times kUnit. Errs by 2 ulp and offset's rounding: nothing beside bf16's.
  static constexpr float kUnit = 1.44269504f;  // log2 e
  HAZE_DEVICE static float weight(float score, float factor, float offset) {
    return ptx::exp2_approx(std::fma(score, factor, -offset));
  }

  /// s += A Bᵀ over `width` columns of the warp's rows of `a` and of the first `cols` rows of `b`.
  HAZE_DEVICE static void multiply(Scores& s, const bf16* a, const bf16* b, int width, int cols) {
    using Rows = mma::OperandTile<bf16, kRows, kD, true>;
    using Columns = mma::OperandTile<bf16, kCols, kD, true>;
    for (int k = 0; k < width; k += 16) {
      std::uint32_t fa[kM][4];
#pragma unroll
      for (int t = 0; t < kM; ++t)
        mma::load_fragment<mma::Side::left, Rows>(fa[t], a, warp_row() + 16 * t, k);
#pragma unroll
      for (int n = 0; n < kCols; n += 16) {
        if (n >= cols) continue;
        std::uint32_t fb[4];
        mma::load_fragment<mma::Side::right, Columns>(fb, b, n, k);
#pragma unroll
        for (int t = 0; t < kM; ++t)
          mma::multiply<bf16>(s.v[t][n / 8], s.v[t][n / 8 + 1], fa[t], fb);
      }
    }
  }
  /// sums += W B over the first `cols` rows of b, for its first `width` columns. W is rounded.
  HAZE_DEVICE static void accumulate(Sums& sums, const Scores& w, const bf16* b, int width,
                                     int cols, float*) {
    using Values = mma::OperandTile<bf16, kD, kCols, false>;  // rows are summed
#pragma unroll
    for (int k = 0; k < kCols; k += 16) {
      if (k >= cols) continue;
      std::uint32_t fa[kM][4];
#pragma unroll
      for (int t = 0; t < kM; ++t)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const auto& c = w.v[t][k / 8 + e / 2];
          fa[t][e] = pack(c[2 * (e % 2)], c[2 * (e % 2) + 1]);
        }
#pragma unroll
      for (int n = 0; n < kD; n += 16) {
        if (n >= width) continue;
        std::uint32_t fb[4];
        mma::load_fragment<mma::Side::right, Values>(fb, b, n, k);
#pragma unroll
        for (int t = 0; t < kM; ++t)
          mma::multiply<bf16>(sums.v[t][n / 8], sums.v[t][n / 8 + 1], fa[t], fb);
      }
    }
  }
};

/// Of a warp's rows lane l has l/8 + 4r; of the scores' columns l%8 + 8c; of the sums' columns the
/// vectors l%8 + 8m.
template <int kD_, int kCols_>
struct AttentionFma {
  using Element = float;
  static constexpr int kD = kD_, kCols = kCols_, kRows = 64;
  static constexpr int kR = 4, kC = kCols / 8, kSums = kD / 8, kGroup = 4;
  static constexpr int kPitch = kCols + 8;  // 4 rows x 8 lanes write different banks
  static constexpr int kScratch = kRows * kPitch * int(sizeof(float));
  using Scores = PerRow<kR, kC>;
  using Sums = PerRow<kR, kSums>;

  HAZE_DEVICE static int warp_row() { return warp_id() * 16; }
  HAZE_DEVICE static int row(int r) { return warp_row() + lane_id() / 8 + 4 * r; }
  HAZE_DEVICE static int col(int c) { return lane_id() % 8 + 8 * c; }
  HAZE_DEVICE static int sum_col(int c) { return 4 * (lane_id() % 8 + 8 * (c / 4)) + c % 4; }

  HAZE_DEVICE static float row_sum(float x) {
    for (int lanes = 1; lanes < 8; lanes *= 2) x += __shfl_xor_sync(0xffffffffu, x, lanes);
    return x;
  }
  HAZE_DEVICE static float row_max(float x) {
    for (int lanes = 1; lanes < 8; lanes *= 2) {
      const float y = __shfl_xor_sync(0xffffffffu, x, lanes);
      x = y > x ? y : x;
    }
    return x;
  }
  static constexpr float kUnit = 1;
  HAZE_DEVICE static float weight(float score, float factor, float offset) {
    return exp_f32(std::fma(score, factor, -offset));
  }

  HAZE_DEVICE static void multiply(Scores& s, const float* a, const float* b, int width, int cols) {
    for (int p = 0; p < (width + 3) / 4; ++p) {
      Vec<float, 4> fa[kR];
#pragma unroll
      for (int r = 0; r < kR; ++r) fa[r] = load<4>(vec16<kD>(a, row(r), p));
#pragma unroll
      for (int c = 0; c < kC; ++c) {
        if (8 * c >= cols) continue;
        const Vec<float, 4> fb = load<4>(vec16<kD>(b, col(c), p));
#pragma unroll
        for (int r = 0; r < kR; ++r)
#pragma unroll
          for (int e = 0; e < 4; ++e) s.v[r][c] += fa[r][e] * fb[e];
      }
    }
  }
  HAZE_DEVICE static void accumulate(Sums& sums, const Scores& w, const float* b, int width,
                                     int cols, float* scratch) {
    __syncwarp();  // the warp has read its rows' weights of the last call
#pragma unroll
    for (int r = 0; r < kR; ++r)
#pragma unroll
      for (int c = 0; c < kC; ++c) scratch[row(r) * kPitch + col(c)] = w.v[r][c];
    __syncwarp();
    for (int j = 0; j < cols; j += 4) {
      Vec<float, 4> fa[kR];
#pragma unroll
      for (int r = 0; r < kR; ++r) fa[r] = load<4>(scratch + row(r) * kPitch + j);
#pragma unroll
      for (int e = 0; e < 4; ++e)
#pragma unroll
        for (int m = 0; m < kSums / 4; ++m) {
          if (32 * m >= width) continue;
          const Vec<float, 4> fb = load<4>(vec16<kD>(b, j + e, lane_id() % 8 + 8 * m));
#pragma unroll
          for (int r = 0; r < kR; ++r)
#pragma unroll
            for (int i = 0; i < 4; ++i) sums.v[r][4 * m + i] += fa[r][e] * fb[i];
        }
    }
  }
};

}  // namespace haze::kernels::attention
