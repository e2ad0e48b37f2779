// SPDX-License-Identifier: MIT
// tile.cuh — what both directions of the CUDA backend share: how a call is cut into blocks, and
// sums over a block.
//
// Slab. An image is cut along its channels into slabs: the narrowest runs of whole groups that
// still fill a cache line of 128 bytes at every pixel. A warp reads whole lines whatever the size of
// a group, and a slab has all that its groups need.
//
// Chunk. A slab is cut into chunks of pixels, each of which one block holds in registers: `held`
// vectors of 16 bytes per thread. A slab of one chunk is finished in one launch; where that makes
// the difference, 64 bytes at every pixel will do.
//
// Threads. Neighbours take neighbouring vectors of a row: thread t is in column t % columns and
// takes the pixels t / columns, + rows, + 2·rows ...
//
// Order. Chunks, and the order in which sums are added, follow from hw, c, groups and the type: an
// image's bits are the same for every batch and on every GPU.
//
// Example: n = 1, hw = 4, c = 8, groups = 4, f32. A vector is 4 channels, a pixel 2 vectors, so the
// plan is one slab of width 8 and one chunk, a block of 2 columns and 4 rows:
//
//              group 0   group 1   group 2   group 3
//   channel    0    1    2    3    4    5    6    7
//            ┌───────────────────┬───────────────────┐
//   pixel 0  │     thread 0      │     thread 1      │   held = 1 of the 8 vectors that forward allows;
//         1  │     thread 2      │     thread 3      │   threads 8 to 31 fill the warp and hold none
//         2  │     thread 4      │     thread 5      │
//         3  │     thread 6      │     thread 7      │
//            └───────────────────┴───────────────────┘
//
// A thread adds its pixels, channel by channel, into part[row][channel] of shared memory; block_sums
// adds the 4 rows to 8 totals; each_group takes group after group with one warp, adds totals 2g and
// 2g + 1, and divides by the D = hw·c/groups = 8 values of the group.
//
// In bf16 a vector is all 8 channels, so there is one column and thread t holds pixel t. With
// hw = 4096 a block of 256 rows would hold 2048 pixels: two chunks, whose moments are merged.
#pragma once
#include <algorithm>
#include <numeric>

#include "kernels/base/math.h"
#include "kernels/cuda/vec.h"
#include "kernels/group_norm/group_norm.h"

namespace haze::kernels::group_norm_cuda {

constexpr int kThreads = 512;
constexpr int kForwardHeld = 8, kBackwardHeld = 4;  // vectors of x (and dy) per thread
constexpr int kColumns = 256;                       // vectors of a row that a block takes, at most
constexpr int kFewThreads = 128;  // worth starting even if each then holds few vectors

/// Of the values of a group in one block.
struct Moments {
  double mean, squares;  // squares: Σ(x-mean)²
};
using Pair = Vec<float, 2>;

/// How one call is cut up. Of the example: parts 1, slabs
/// 1, chunks 1, width 8, columns 2, rows 4, threads 32.
struct SlabPlan {
  int hw, c, groups, per_group;
  int c1;             // channels of x's first tensor; c if there is no second
  int parts;          // slabs that share one group; 1: a slab has whole groups
  int slabs, chunks;  // of an image
  int width;          // channels of a slab (the last one of its group or image may have fewer)
  int columns, rows;  // of a block
  int threads;        // rows·columns, in whole warps

  HAZE_HD int first_pixel(int chunk) const { return int((long long)(hw)*chunk / chunks); }
  HAZE_HD int pixels(int chunk) const { return first_pixel(chunk + 1) - first_pixel(chunk); }
  /// How many blocks' results make up a group.
  HAZE_HD int entries() const { return parts * chunks; }
  /// Values of a group in entry e = part·chunks + chunk.
  HAZE_HD int count(int e) const {
    const int first = e / chunks * width, rest = per_group - first;
    return pixels(e % chunks) * (parts > 1 && width < rest ? width : rest);
  }
};

inline void check(const GroupNormDims& d) {
  HAZE_CHECK(std::int64_t{1} * d.n * d.hw < std::int64_t{1} << 31, "n=", d.n, " hw=", d.hw);
  HAZE_CHECK(d.n > 0 && d.hw > 0 && d.c > 0, "n=", d.n, " hw=", d.hw, " c=", d.c);
  HAZE_CHECK(d.groups > 0 && d.c % d.groups == 0, "groups must divide C: C=", d.c,
             " groups=", d.groups);
}

/// The plan for vectors of N values of `size` bytes, of which a thread holds `held`.
inline SlabPlan plan_of(const GroupNormDims& d, int N, int size, int held) {
  SlabPlan p{};
  p.hw = d.hw, p.c = d.c, p.c1 = d.c - d.c2, p.groups = d.groups, p.per_group = d.c / d.groups;
  const auto up = [](int a, int b) { return (a + b - 1) / b; };
  const int unit = p.per_group / std::gcd(p.per_group, N);  // vectors of the narrowest slab
  if (unit > kColumns) {                                    // a slab is a part of a group
    p.parts = up(unit, kColumns);
    p.columns = up(unit, p.parts);
    p.slabs = d.groups * p.parts;
  } else {
    const auto columns = [&](int bytes) {
      return std::min(d.c / N, up(bytes / (N * size), unit) * unit);
    };
    const auto fits = [&](int columns) { return d.hw <= kThreads / columns * held; };
    p.parts = 1;
    p.columns = !fits(columns(128)) && fits(columns(64)) ? columns(64) : columns(128);
    p.slabs = up(d.c / N, p.columns);
  }
  p.width = p.columns * N;
  const int most_rows = kThreads / p.columns;
  p.chunks = up(d.hw, most_rows * held);
  const int pixels = up(d.hw, p.chunks), few_rows = std::max(1, kFewThreads / p.columns);
  p.rows = std::min(most_rows, std::max(up(pixels, held), std::min(pixels, few_rows)));
  p.threads = up(p.rows * p.columns, 32) * 32;
  return p;
}

/// Calls f.operator()<T, N>() with the type and the widest vectors of which slabs can be made.
template <class F>
void choose(const GroupNormDims& d, DType type, F&& f) {
  dispatch(type, [&]<class T>(T) {
    constexpr int N = int(16 / sizeof(T));
    const int per_group = d.c / d.groups;
    const bool slabs = per_group % N == 0 || per_group / std::gcd(per_group, N) <= kColumns;
    if (d.c % N == 0 && d.c2 % N == 0 && slabs)
      f.template operator()<T, N>();
    else
      f.template operator()<T, 1>();
  });
}

inline dim3 grid_of(const SlabPlan& p, int images) {
  return dim3(unsigned(images) * unsigned(p.chunks), unsigned(p.slabs));
}

/// What a block works on. Kept in shared memory: every thread would need registers for it.
struct SlabBlock {
  int image, chunk;
  int first_group, groups, span;  // groups of the slab, and the channels that each has in it
  int first_channel, channels;    // of the slab
  int pixels, first_pixel;        // of the chunk; its first among all images'
};

/// What a thread works on.
struct SlabThread {
  const SlabBlock& block;  // valid after the next barrier
  int channel, row;        // the thread's first channel within the slab; its first pixel
  int held;                // its pixels
  int in_image;            // its first channel within the image
  int pixel;               // its first pixel among all images'

  /// Its first channel in a table of coefficients. Threads that hold nothing read the first's:
  /// beyond the channels of a narrow last slab there are none.
  HAZE_DEVICE int in_table() const { return held > 0 ? channel : 0; }

  /// Its place in the image from the block, so that no register has to hold it between the loads
  /// and the stores.
  HAZE_DEVICE SlabThread again() const {
    return {block, channel, row, held, block.first_channel + channel, block.first_pixel + row};
  }
};

template <int N>
HAZE_DEVICE SlabThread slab_thread(const SlabPlan& p, SlabBlock& shared) {
  SlabBlock b;
  b.image = int(blockIdx.x) / p.chunks;
  b.chunk = int(blockIdx.x) % p.chunks;
  b.pixels = p.pixels(b.chunk);
  b.first_pixel = b.image * p.hw + p.first_pixel(b.chunk);
  const int slab = int(blockIdx.y);
  if (p.parts > 1) {
    const int part = slab % p.parts * p.width;
    b.first_group = slab / p.parts;
    b.first_channel = b.first_group * p.per_group + part;
    b.channels = p.width < p.per_group - part ? p.width : p.per_group - part;
    b.groups = 1;
    b.span = b.channels;
  } else {
    b.first_channel = slab * p.width;
    b.first_group = b.first_channel / p.per_group;
    b.channels = p.width < p.c - b.first_channel ? p.width : p.c - b.first_channel;
    b.groups = b.channels / p.per_group;
    b.span = p.per_group;
  }
  if (threadIdx.x == 0) shared = b;
  const int row = int(threadIdx.x) / p.columns, channel = int(threadIdx.x) % p.columns * N;
  const bool busy = row < p.rows && row < b.pixels && channel < b.channels;
  return {shared,
          channel,
          row,
          busy ? (b.pixels - row + p.rows - 1) / p.rows : 0,
          b.first_channel + channel,
          b.first_pixel + row};
}

/// This thread's vectors in memory: the first, and how many elements lie between two. Null where
/// its channels are those of a tensor that is not there.
template <class T>
struct Vectors {
  T* first;
  int step;
};
/// In a tensor of `channels`, of which the thread takes those from `channel` on.
template <class T>
HAZE_DEVICE Vectors<T> vectors_of(const SlabPlan& p, const SlabThread& b, T* x, int channels,
                                  int channel) {
  return {x ? x + std::size_t(b.pixel) * channels + channel : nullptr, p.rows * channels};
}
template <class T>
HAZE_DEVICE Vectors<T> whole(const SlabPlan& p, const SlabThread& b, T* x) {
  return vectors_of(p, b, x, p.c, b.in_image);
}
/// In the tensor that has the thread's channels. A vector does not lie across the seam (choose).
template <class T>
HAZE_DEVICE Vectors<T> joined(const SlabPlan& p, const SlabThread& b, T* first, T* second) {
  const bool in_first = b.in_image < p.c1;
  return vectors_of(p, b, in_first ? first : second, in_first ? p.c1 : p.c - p.c1,
                    in_first ? b.in_image : b.in_image - p.c1);
}

/// This thread's share of an image, in registers: vectors of N values, bf16 in pairs. What is
/// computed with them goes a few channels at a time, so that few coefficients are alive.
template <class T, int N, int vectors>
struct SlabTile {
  static constexpr bool paired = N > 1 && sizeof(T) == 2;
  using Word = std::conditional_t<paired, std::uint32_t, T>;
  static constexpr int words = int(sizeof(T)) * N / int(sizeof(Word));
  Vec<Word, words> v[vectors];

  HAZE_DEVICE void load_from(const SlabThread& b, const Vectors<const T>& x) {
    const Word* from = reinterpret_cast<const Word*>(x.first);
    const int step = x.step / (N / words);
#pragma unroll
    for (int k = 0; k < vectors; ++k)
      v[k] = k < b.held ? load<words>(from + k * step) : Vec<Word, words>{};
  }
  HAZE_DEVICE void store_to(const SlabThread& b, const Vectors<T>& y) const {
    Word* to = reinterpret_cast<Word*>(y.first);
    const int step = y.step / (N / words);
#pragma unroll
    for (int k = 0; k < vectors; ++k)
      if (k < b.held) store(to + k * step, v[k]);
  }
  /// Value i of vector k.
  HAZE_DEVICE float get(int k, int i) const {
    if constexpr (paired)
      return __uint_as_float(i % 2 ? v[k][i / 2] & 0xffff0000u : v[k][i / 2] << 16);
    else
      return float(v[k][i]);
  }
  /// Values i and, for vectors, i + 1.
  HAZE_DEVICE void set(int k, int i, float a, float b) {
    if constexpr (paired) {
      v[k][i / 2] = bf16(a).bits | std::uint32_t(bf16(b).bits) << 16;
    } else {
      v[k][i] = a;
      if constexpr (N > 1) v[k][i + 1] = b;
    }
  }
};

/// Shared memory of a block: `tables` floats per channel, then Q partial sums per channel and row,
/// then their totals.
struct Shared {
  HAZE_HD static int lanes(const SlabPlan& p, int Q) {  // threads that share one total
    const int all = p.threads / (Q * p.width);
    return all < 1 ? 1 : all < p.rows ? all : p.rows;
  }
  static std::size_t bytes(const SlabPlan& p, int tables, int Q) {
    const int sums = Q > 0 ? Q * (p.rows + lanes(p, Q)) : 0;
    return sizeof(float) * std::size_t(p.width) * (tables + sums);
  }
  HAZE_HD float* table(int i) const { return base + i * width; }

  float* base;
  int width;
};

/// Sums over the rows of a block: totals[q·width + channel of the slab] from part[row][q][channel],
/// to which every thread has just written its own. The order: every lanes-th row; the lanes.
/// `part` is free afterwards.
template <int Q>
HAZE_DEVICE void block_sums(const SlabPlan& p, const float* part, float* totals) {
  const int outputs = Q * p.width, lanes = Shared::lanes(p, Q);
  __syncthreads();
#pragma unroll 1  // registers are for the tile
  for (int e = int(threadIdx.x); e < lanes * outputs; e += p.threads) {
    float sum = 0;
#pragma unroll 2
    for (int r = e / outputs; r < p.rows; r += lanes) sum += part[r * outputs + e % outputs];
    totals[e] = sum;
  }
  __syncthreads();
#pragma unroll 1
  for (int o = int(threadIdx.x); o < outputs; o += p.threads) {
    float sum = totals[o];
#pragma unroll 2
    for (int j = 1; j < lanes; ++j) sum += totals[j * outputs + o];
    totals[o] = sum;
  }
  __syncthreads();
}

/// Calls f(group within the slab, its first channel within the slab), one warp per group.
template <class F>
HAZE_DEVICE void each_group(const SlabPlan& p, const SlabThread& b, F&& f) {
#pragma unroll 1
  for (int g = int(threadIdx.x) / 32; g < b.block.groups; g += p.threads / 32)
    f(g, g * b.block.span);
}

/// The sigmoid that T can tell: bf16 keeps 8 bits, and two instructions of the special function
/// unit leave 20 at a third of the work, which at two bytes per value is what limits.
template <class T>
HAZE_DEVICE float sigmoid(float z) {
  if constexpr (sizeof(T) == 2) return __fdividef(1.0f, 1.0f + __expf(-z));
  return sigmoid_f32(z);
}

}  // namespace haze::kernels::group_norm_cuda
