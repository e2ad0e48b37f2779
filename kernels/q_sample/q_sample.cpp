// SPDX-License-Identifier: MIT
// q_sample.cpp — CPU backend. Bound by drawing the noise (10 rounds of Philox and a Box-Muller per
// 4 elements), so everything else is done on the tile while it is in the first cache.
#include "kernels/q_sample/q_sample.h"

#include <algorithm>

#include "kernels/base/stream.h"
#include "kernels/cpu/noise_tiles.h"

namespace haze::kernels {
namespace {

template <class T>
void noise_values(const ItemDims& d, const float* x0, const std::int32_t* t,
                  const NoiseSchedule& schedule, const Noise& noise, T* x_t) {
  for_each_tile(d, [&](int item, int first, int count, std::int64_t) {
    float scratch[kTile];
    const float* eps = noise_of_tile(noise, d, item, first, count, scratch);
    const float a = schedule.sqrt_alpha_bar[t[item]];
    const float b = schedule.sqrt_one_minus_alpha_bar[t[item]];
    const float* in = x0 + std::size_t(item) * d.elements + first;
    T* out = x_t + std::size_t(item) * d.elements + first;
#pragma omp simd
    for (int i = 0; i < count; ++i) out[i] = a * in[i] + b * eps[i];
  });
}

/// to [count] = elements first .. of the mirrored image.
template <class P>
void mirrored_tile(const ImageDims& d, const P* image, int first, int count, P* to) {
  int pixel = first / d.c, c = first % d.c;
  for (int i = 0; i < count; ++pixel, c = 0) {
    const int column = pixel % d.w;
    const P* from = image + std::size_t(pixel - column + d.w - 1 - column) * d.c;
    for (; c < d.c && i < count; ++c) to[i++] = from[c];
  }
}

/// x0 of stored values: f32 as it is; both scales of bytes as (gain·byte - offset)/255, the
/// numerator exact, one rounding.
inline void scale(const float* in, int count, bool, float* x0) { std::copy_n(in, count, x0); }
inline void scale(const std::uint8_t* in, int count, bool zero_to_one, float* x0) {
  const float gain = zero_to_one ? 1.0f : 2.0f, offset = zero_to_one ? 0.0f : 255.0f;
#pragma omp simd
  for (int i = 0; i < count; ++i) x0[i] = (gain * float(in[i]) - offset) / 255.0f;
}

template <class P, class T>
void noise_image(const ImageDims& d, const P* image, bool mirrored, float a, float b,
                 const ImageDraws& draws, std::uint32_t item, T* x_t, float* x0_out) {
  const int elements = d.elements();
  for (int first = 0; first < elements; first += kTile) {
    const int count = std::min(kTile, elements - first);
    float eps[kTile], x0[kTile];
    P stored[kTile];
    draw_normals(draws.noise, item, first, count, eps);
    if (mirrored) mirrored_tile(d, image, first, count, stored);
    scale(mirrored ? stored : image + first, count, draws.zero_to_one, x0);
    T* out = x_t + first;
#pragma omp simd
    for (int i = 0; i < count; ++i) out[i] = a * x0[i] + b * eps[i];
    if (x0_out) std::copy_n(x0, count, x0_out + first);
  }
}

std::int32_t time_of(const ImageDraws& draws, std::uint32_t item, int steps, std::int32_t given) {
  if (draws.times == TimeDraw::given) return given;
  const bool pairs = draws.times == TimeDraw::antithetic;
  const std::uint32_t drawer = pairs ? item & ~1u : item;
  const auto t = std::int32_t(below(random4(draws.timestep, drawer, 0).v[0], std::uint32_t(steps)));
  return drawer == item ? t : steps - 1 - t;
}

template <class P, class T>
void noise_images(const ImageDims& d, const P* images, const std::int32_t* index,
                  const NoiseSchedule& schedule, const ImageDraws& draws, std::int32_t* t, T* x_t,
                  float* x0) {
#pragma omp parallel for schedule(static)
  for (int n = 0; n < d.n; ++n) {
    const std::uint32_t item = draws.first_item + std::uint32_t(n);
    t[n] = time_of(draws, item, schedule.steps, t[n]);
    const P* image = images + std::size_t(index[n]) * d.elements();
    const bool mirrored = draws.mirrors && random4(draws.flip, item, 0).v[0] >> 31;
    const std::size_t at = std::size_t(n) * d.elements();
    noise_image(d, image, mirrored, schedule.sqrt_alpha_bar[t[n]],
                schedule.sqrt_one_minus_alpha_bar[t[n]], draws, item, x_t + at,
                x0 ? x0 + at : nullptr);
  }
}

void check_below(int n, const std::int32_t* values, int end, const char* what) {
  for (int i = 0; i < n; ++i)
    HAZE_CHECK(values[i] >= 0 && values[i] < end, what, '[', i, "] is ", values[i],
               ", must be in [0,", end, ')');
}

}  // namespace

template <>
void q_sample(CpuStream, const ItemDims& d, const float* x0, const std::int32_t* t,
              const NoiseSchedule& schedule, const Noise& eps, Act x_t) {
  check_below(d.n, t, schedule.steps, "t");
  dispatch(x_t.dtype,
           [&]<class T>(T) { noise_values(d, x0, t, schedule, resolved(eps), x_t.as<T>()); });
}

template <>
void q_sample_images(CpuStream, const ImageDims& d, const StoredImages& images,
                     const std::int32_t* index, const NoiseSchedule& schedule,
                     const ImageDraws& given, std::int32_t* t, Act x_t, float* x0) {
  ImageDraws draws = given;
  for (RandomKey* key : {&draws.timestep, &draws.noise, &draws.flip}) *key = resolved(*key);
  check_below(d.n, index, d.images, "index");
  if (draws.times == TimeDraw::given) check_below(d.n, t, schedule.steps, "t");
  dispatch(x_t.dtype, [&]<class T>(T) {
    const auto run = [&]<class P>(P) {
      noise_images(d, images.as<P>(), index, schedule, draws, t, x_t.as<T>(), x0);
    };
    images.dtype == DType::u8 ? run(std::uint8_t{}) : run(float{});
  });
}

}  // namespace haze::kernels
