// SPDX-License-Identifier: MIT
// guidance.cu — CUDA version. One elementwise pass: two reads, one write. Rescaling needs a sum
// over the item before its first result, so there a block per item goes ahead and leaves one
// factor; it brings what the second pass reads into L2.
#include "kernels/cuda/prediction_quads.h"
#include "kernels/guidance/guidance.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 512;

/// A thread's four values of c and u, the item's.
template <class T, bool kWhole, bool kVariances>
HAZE_DEVICE void read_both(const PredictionDims& d, const T* c, const T* u, int first,
                           float (&from)[kNormals], float (&other)[kNormals]) {
  const int count = d.elements() - first;
  if constexpr (kVariances) {
    const Outputs o = outputs_of(d, first);
    read_at(c, o, count, from);
    read_at(u, o, count, other);
  } else {
    read<kNormals, kWhole>(c + first, count, from);
    read<kNormals, kWhole>(u + first, count, other);
  }
}

/// factor[n] of item n = blockIdx.x. Sums in double of values less the item's first: the shift
/// keeps the mean square from cancelling, and what is left of it is far below the result's f32.
template <class T, bool kWhole, bool kVariances>
__global__ void __launch_bounds__(kThreads)
    factors(PredictionDims d, const T* c, const T* u, Guidance g, float* factor) {
  HAZE_SHARED(double[32], smem);
  c += std::size_t(blockIdx.x) * d.outputs();
  u += std::size_t(blockIdx.x) * d.outputs();
  const int elements = d.elements();
  const float shift_c = float(c[0]), shift_g = shift_c + (g.weight - 1) * (shift_c - float(u[0]));
  double sums[4] = {};  // of c and of g, and of their squares
  for (int first = int(threadIdx.x) * kNormals; first < elements; first += kThreads * kNormals) {
    float from[kNormals], other[kNormals];
    read_both<T, kWhole, kVariances>(d, c, u, first, from, other);
#pragma unroll
    for (int k = 0; k < kNormals; ++k) {
      if (first + k >= elements) break;
      const double e = double(from[k]) - double(shift_c);
      const double f = double(from[k] + (g.weight - 1) * (from[k] - other[k])) - double(shift_g);
      sums[0] += e;
      sums[1] += f;
      sums[2] += e * e;
      sums[3] += f * f;
    }
  }
#pragma unroll
  for (double& sum : sums) sum = block_sum(sum, smem);
  if (threadIdx.x != 0) return;
  const double left = sums[2] - sums[0] * sums[0] / elements, var_c = left < 0 ? 0 : left;
  const double var_g = sums[3] - sums[1] * sums[1] / elements;
  factor[blockIdx.x] = var_g == 0 ? 1.0f : g.rescale * float(sqrt(var_c / var_g)) + 1 - g.rescale;
}

template <class T, bool kWhole, bool kVariances>
__global__ void __launch_bounds__(kVecThreads)
    guide(PredictionDims d, const T* c, const T* u, float more, const float* factor, T* out) {
  const int elements = d.elements(), outputs = d.outputs();
  const unsigned blocks = unsigned(elements + kNormals - 1) / kNormals;
  for_each_vec(std::size_t(d.n), blocks, [&](std::size_t n, unsigned block) {
    const int first = int(block) * kNormals, count = elements - first;
    const std::size_t item = n * outputs;
    float from[kNormals], other[kNormals];
    read_both<T, kWhole, kVariances>(d, c + item, u + item, first, from, other);
    const float times = factor ? factor[n] : 1.0f;
#pragma unroll
    for (int k = 0; k < kNormals; ++k) other[k] = times * (from[k] + more * (from[k] - other[k]));
    if constexpr (kVariances) {
      const Outputs o = outputs_of(d, first);
      write_at(out + item, o, count, other);
      if (out == c) return;
      read_at(c + item + d.channels, o, count, from);
      write_at(out + item + d.channels, o, count, from);
    } else {
      write<kNormals, kWhole>(out + item + first, count, other);
    }
  });
}

}  // namespace

template <>
void guidance(CudaStream s, const PredictionDims& d, ConstAct c, ConstAct u, const Guidance& g,
              void* scratch, Act out) {
  const auto blocks = vec_blocks(std::size_t(d.n), std::size_t(normal_blocks(d.elements())));
  float* factor = g.rescale == 0 ? nullptr : static_cast<float*>(scratch);
  dispatch(c.dtype, [&]<class T>(T) {
    const auto launch = [&]<bool kWhole, bool kVariances>() {
      if (factor)
        HAZE_LAUNCH((factors<T, kWhole, kVariances>), s, unsigned(d.n), kThreads, 0, d, c.as<T>(),
                    u.as<T>(), g, factor);
      HAZE_LAUNCH((guide<T, kWhole, kVariances>), s, blocks, kVecThreads, 0, d, c.as<T>(),
                  u.as<T>(), g.weight - 1, factor, out.as<T>());
    };
    whole_vecs<kNormals>(d.elements(), {c.data, u.data, out.data}, [&]<bool kWhole>() {
      if (d.variances) return launch.template operator()<false, true>();
      launch.template operator()<kWhole, false>();
    });
  });
}

}  // namespace haze::kernels
