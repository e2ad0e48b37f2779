// SPDX-License-Identifier: MIT
// q_sample.cu — CUDA version. A thread draws one block of Philox and makes its four elements of x_t
// from it. From stored bytes the whole preparation of a batch is one launch: 1 byte read and 4
// (f32) or 2 (bf16) written per element; the noise stays in registers
// (mapping and traffic: docs/kernels/diffusion.md).
#include <limits>

#include "kernels/cuda/noise_quads.h"
#include "kernels/q_sample/q_sample.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 256;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// sqrt(ᾱ_t) and sqrt(1-ᾱ_t); NaN for a time outside the schedule, which shows in x_t.
struct Weights {
  float signal, noise;
};
HAZE_DEVICE Weights weights_at(const NoiseSchedule& schedule, std::int32_t t) {
  if (unsigned(t) >= unsigned(schedule.steps)) return {kNan, kNan};
  return {schedule.sqrt_alpha_bar[t], schedule.sqrt_one_minus_alpha_bar[t]};
}

template <class T, bool kWhole>
__global__ void __launch_bounds__(kVecThreads)
    noise_values(ItemDims d, const float* x0, const std::int32_t* t, NoiseSchedule schedule,
                 Noise given, T* x_t) {
  const Noise noise = resolved(given);
  const unsigned blocks = unsigned(d.elements + kNormals - 1) / kNormals;
  for_each_vec(std::size_t(d.n), blocks, [&](std::size_t n, unsigned block) {
    float eps[kNormals], v[kNormals];
    normals_of<kWhole>(noise, d, n, block, eps);
    const Weights w = weights_at(schedule, t[n]);
    const int first = int(block) * kNormals, count = d.elements - first;
    const std::size_t at = n * d.elements + first;
    read<kNormals, kWhole>(x0 + at, count, v);
#pragma unroll
    for (int k = 0; k < kNormals; ++k) v[k] = w.signal * v[k] + w.noise * eps[k];
    write<kNormals, kWhole>(x_t + at, count, v);
  });
}

/// The stored values of elements first .. first + 3 of an image, or of its mirror image.
template <bool kWhole, class P>
HAZE_DEVICE void read_stored(const ImageDims& d, const P* image, bool mirrored, int first,
                             int count, float (&v)[kNormals]) {
  if (!mirrored) return read<kNormals, kWhole>(image + first, count, v);
  const int pixel = first / d.c;
  int c = first - pixel * d.c, x = pixel % d.w;
#pragma unroll
  for (int k = 0; k < kNormals; ++k) {
    v[k] = k < count ? float(image[first + k + (d.w - 1 - 2 * x) * d.c]) : 0.0f;
    if (++c < d.c) continue;
    c = 0;
    if (++x == d.w) x = 0;
  }
}

/// `blocks` blocks share one image; threads 0 and 1 of each draw its t and flip while the others
/// start on their noise.
template <class P, class T, bool kWhole>
__global__ void __launch_bounds__(kThreads)
    noise_images(ImageDims d, unsigned blocks, const P* images, const std::int32_t* index,
                 NoiseSchedule schedule, ImageDraws draws, std::int32_t* t, T* x_t, float* x0) {
  HAZE_SHARED(std::uint32_t[2], drawn);
  const unsigned n = blockIdx.x / blocks, part = blockIdx.x - n * blocks;
  const std::uint32_t item = draws.first_item + n;
  const bool second = draws.times == TimeDraw::antithetic && item % 2;
  if (threadIdx.x < 2) {
    RandomKey key = draws.timestep;
    if (threadIdx.x == 1) key = draws.flip;
    drawn[threadIdx.x] =
        random4(resolved(key), second && threadIdx.x == 0 ? item - 1 : item, 0).v[0];
  }
  const unsigned block = part * kThreads + threadIdx.x;
  float eps[kNormals], v[kNormals];
  normal4(resolved(draws.noise), item, block, eps);
  __syncthreads();
  auto at = std::int32_t(below(drawn[0], std::uint32_t(schedule.steps)));
  if (second) at = schedule.steps - 1 - at;
  if (draws.times == TimeDraw::given)
    at = t[n];
  else if (block == 0)
    t[n] = at;
  const bool mirrored = draws.mirrors && drawn[1] >> 31;

  const int elements = d.h * d.w * d.c, first = int(block) * kNormals, count = elements - first;
  if (count <= 0) return;
  const std::int32_t from = index[n];
  const bool stored = unsigned(from) < unsigned(d.images);
  const Weights w = weights_at(schedule, at);
  const P* image = images + std::size_t(stored ? from : 0) * elements;
  read_stored<kWhole>(d, image, mirrored, first, count, v);
  if constexpr (sizeof(P) == 1) {
    // Both scales as (gain·byte - offset)/255: numerator exact, one rounding.
    const float gain = draws.zero_to_one ? 1.0f : 2.0f, offset = draws.zero_to_one ? 0.0f : 255.0f;
#pragma unroll
    for (int k = 0; k < kNormals; ++k) v[k] = (gain * v[k] - offset) / 255.0f;
  }
  const std::size_t to = std::size_t(n) * elements + first;
  if (!stored)
#pragma unroll
    for (int k = 0; k < kNormals; ++k) v[k] = kNan;
  if (x0) write<kNormals, kWhole>(x0 + to, count, v);
#pragma unroll
  for (int k = 0; k < kNormals; ++k) v[k] = w.signal * v[k] + w.noise * eps[k];
  write<kNormals, kWhole>(x_t + to, count, v);
}

}  // namespace

template <>
void q_sample(CudaStream s, const ItemDims& d, const float* x0, const std::int32_t* t,
              const NoiseSchedule& schedule, const Noise& eps, Act x_t) {
  dispatch(x_t.dtype, [&]<class T>(T) {
    whole_vecs<kNormals>(d.elements, {x0, eps.given, x_t.data}, [&]<bool kWhole>() {
      HAZE_LAUNCH((noise_values<T, kWhole>), s,
                  vec_blocks(std::size_t(d.n), std::size_t(normal_blocks(d.elements))), kVecThreads,
                  0, d, x0, t, schedule, eps, x_t.as<T>());
    });
  });
}

template <>
void q_sample_images(CudaStream s, const ImageDims& d, const StoredImages& images,
                     const std::int32_t* index, const NoiseSchedule& schedule,
                     const ImageDraws& draws, std::int32_t* t, Act x_t, float* x0) {
  const unsigned blocks = unsigned((normal_blocks(d.elements()) + kThreads - 1) / kThreads);
  dispatch(x_t.dtype, [&]<class T>(T) {
    const auto run = [&]<class P>(P) {
      whole_vecs<kNormals>(d.elements(), {images.data, x_t.data, x0}, [&]<bool kWhole>() {
        HAZE_LAUNCH((noise_images<P, T, kWhole>), s, unsigned(d.n) * blocks, kThreads, 0, d, blocks,
                    images.as<P>(), index, schedule, draws, t, x_t.as<T>(), x0);
      });
    };
    images.dtype == DType::u8 ? run(std::uint8_t{}) : run(float{});
  });
}

}  // namespace haze::kernels
