// SPDX-License-Identifier: MIT
// v3_slab.cu — forward: a block takes groups side by side, whole lines of memory, and keeps what it
// has read in shared memory.
//
// What v2 lost: blocks with two of 64 channels fetch the same sectors as their neighbours, and each
// value travels twice.
//
// The idea: cut an image along its channels into slabs, the narrowest runs of whole groups that
// fill 128 bytes at every pixel. A block copies its slab to shared memory, in vectors of 16 bytes,
// and does everything else there: x is read once, and every sector is used whole.
//
//                 channels ──►                        threads of a block, bf16, 64 channels
//         slab 0      slab 1      slab 2              column 0  1  2   ..   7    8 channels each
//      ┌───────────┬───────────┬───────────┐          row 0  ├──┼──┼──┼────┼──┤  pixels 0, 32, 64 ..
//  hw  │  block    │   block   │   block   │              1  ├──┼──┼──┼────┼──┤  pixels 1, 33, 65 ..
//   │  │ (a whole  │           │           │              ..
//   ▼  │  image)   │           │           │              31
//      └───────────┴───────────┴───────────┘
//
// A thread sums its pixels, for each of its channels; a warp then adds rows and channels of a
// group. With x at hand the variance is the textbook's second pass, Σ(x - mean)², so no formula has
// to join anything.
//
// What it costs: hw·128 bytes of shared memory. Up to 96 KiB (768 pixels) two blocks fit an SM; a
// larger slab stays in device memory and is read three times there, whole lines still. 6 barriers.
//
// What is left to gain: with few images there are few blocks (one for a whole image of 64 channels
// in bf16), and large images are read three times. The shipped kernel (forward.cu) cuts slabs into
// chunks of pixels, keeps a chunk in registers, and joins the chunks' moments by v2's formula.
#include "kernels/base/math.h"
#include "kernels/cuda/vec.h"
#include "kernels/group_norm/versions.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 256;
constexpr std::size_t kLine = 128, kMostShared = 96 * 1024;

/// Floats of shared memory for a sum per channel and row of threads, at odd distances.
template <int N>
HAZE_HD int partial_sums(int width) {
  return kThreads * N + width;
}

/// Shared memory: the slab (slab_bytes; if 0 it is read where it lies, in x), the partial sums, and
/// two numbers for each channel.
template <int N, class T>
__global__ void __launch_bounds__(kThreads, 2)
    slabs(GroupNormDims d, int width, std::size_t slab_bytes, const T* x, const float* gamma,
          const float* beta, T* y, float* mean, float* rstd) {
  HAZE_DYNAMIC_SHARED(unsigned char, shared);
  T* const slab = reinterpret_cast<T*>(shared);
  float* const part = reinterpret_cast<float*>(shared + slab_bytes);
  float *const centre = part + partial_sums<N>(width), *const factor = centre + width;
  const int per_group = d.c / d.groups, first = int(blockIdx.x) * width;
  const int channels = width < d.c - first ? width : d.c - first, columns = channels / N;
  const int across = columns < kThreads ? columns : kThreads, rows = kThreads / across,
            pitch = rows | 1;
  const int row = int(threadIdx.x) / across, column = int(threadIdx.x) % across;
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const std::size_t image = std::size_t(blockIdx.y) * d.hw * d.c + first;

  if (slab_bytes > 0 && row < rows)
    for (int v = column; v < columns; v += across)
      for (int p = row; p < d.hw; p += rows)
        store(slab + p * channels + v * N, load<N>(x + image + std::size_t(p) * d.c + v * N));
  __syncthreads();
  const T* const from = slab_bytes > 0 ? slab : x + image;
  const std::size_t stride = slab_bytes > 0 ? channels : d.c;  // from pixel to pixel

  // Calls result(group, sum of term(x - centre) over it) in a warp for each group.
  const auto sum_groups = [&](auto term, auto result) {
    for (int v = column; row < rows && v < columns; v += across) {
      float middle[N], sums[N] = {};
#pragma unroll
      for (int i = 0; i < N; ++i) middle[i] = centre[v * N + i];
      for (int p = row; p < d.hw; p += rows) {
        const Vec<T, N> values = load<N>(from + p * stride + v * N);
#pragma unroll
        for (int i = 0; i < N; ++i) sums[i] += term(float(values[i]) - middle[i]);
      }
#pragma unroll
      for (int i = 0; i < N; ++i) part[(v * N + i) * pitch + row] = sums[i];
    }
    __syncthreads();
    for (int g = warp; g < channels / per_group; g += kThreads / 32) {
      float sum = 0;
      for (int i = lane; i < rows * per_group; i += 32)
        sum += part[(g * per_group + i / rows) * pitch + i % rows];
      result(g, warp_sum(sum));
    }
    __syncthreads();
  };

  // Centre is the group's first value, so that sums are of small numbers; then the mean.
  for (int c = int(threadIdx.x); c < channels; c += kThreads)
    centre[c] = float(from[c / per_group * per_group]);
  __syncthreads();
  const float size = float(d.hw) * float(per_group);
  sum_groups([](float e) { return e; },
             [&](int g, float sum) {
               for (int e = lane; e < per_group; e += 32) centre[g * per_group + e] += sum / size;
             });
  sum_groups([](float e) { return e * e; },
             [&](int g, float sum) {
               const float r = 1.0f / std::sqrt(sum / size + d.eps);
               for (int e = g * per_group + lane; e < (g + 1) * per_group; e += 32)
                 factor[e] = gamma[first + e] * r;
               if (lane > 0) return;
               const std::size_t at = std::size_t(blockIdx.y) * d.groups + first / per_group + g;
               mean[at] = centre[g * per_group];
               rstd[at] = r;
             });
  for (int v = column; row < rows && v < columns; v += across) {
    float middle[N], slope[N], offset[N];
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const int c = v * N + i;
      middle[i] = centre[c], slope[i] = factor[c], offset[i] = beta[first + c];
    }
    for (int p = row; p < d.hw; p += rows) {
      Vec<T, N> values = load<N>(from + p * stride + v * N);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const float z = std::fma(float(values[i]) - middle[i], slope[i], offset[i]);
        values[i] = d.swish ? z * sigmoid_f32(z) : z;
      }
      store(y + image + std::size_t(p) * d.c + v * N, values);
    }
  }
}

}  // namespace

void group_norm_forward_v3(CudaStream s, const GroupNormDims& d, ConstAct x, const float* gamma,
                           const float* beta, Act y, float* mean, float* rstd) {
  dispatch(x.dtype, [&]<class T>(T) {
    const auto run = [&]<int N>(std::integral_constant<int, N>) {
      const int per_group = d.c / d.groups;
      int width = per_group;
      while (width < d.c && (width * sizeof(T) < kLine || width % N != 0)) width += per_group;
      const std::size_t sums = (partial_sums<N>(width) + 2 * std::size_t(width)) * sizeof(float);
      std::size_t slab = (std::size_t(d.hw) * width * sizeof(T) + 15) / 16 * 16;
      if (slab + sums > kMostShared) slab = 0;
      const dim3 grid(unsigned((d.c + width - 1) / width), unsigned(d.n));
      HAZE_LAUNCH((slabs<N, T>), s, grid, kThreads, slab + sums, d, width, slab, x.as<T>(), gamma,
                  beta, y.as<T>(), mean, rstd);
    };
    constexpr int N = int(16 / sizeof(T));
    const bool vectors =
        d.c % N == 0 && (std::uintptr_t(x.data) | std::uintptr_t(y.data)) % 16 == 0;
    vectors ? run(std::integral_constant<int, N>()) : run(std::integral_constant<int, 1>());
  });
}

}  // namespace haze::kernels
