// q_sample.cpp — CPU backend. Bound by drawing the noise (10 rounds of Philox and a Box-Muller per
// 4 elements), so everything else is done on the tile while it is in the first cache.
#include "kernels/q_sample/q_sample.h"

#include <vector>

#include "kernels/common/noise_tiles.h"
#include "kernels/common/stream.h"

namespace haze::kernels {
namespace {

template <class T>
void noise_values(const ItemDims& d, const float* x0, const std::int32_t* t,
                  const NoiseSchedule& schedule, const Noise& noise, T* x_t) {
  for_each_tile(d, [&](int item, int first, int count, std::int64_t) {
    float room[kTile];
    const float* eps = noise_of_tile(noise, d, item, first, count, room);
    const float a = schedule.sqrt_alpha_bar[t[item]];
    const float b = schedule.sqrt_one_minus_alpha_bar[t[item]];
    const float* in = x0 + std::size_t(item) * d.elements + first;
    T* out = x_t + std::size_t(item) * d.elements + first;
#pragma omp simd
    for (int i = 0; i < count; ++i) out[i] = a * in[i] + b * eps[i];
  });
}

void mirror(const ImageDims& d, const std::uint8_t* from, std::uint8_t* to) {
  for (int y = 0; y < d.h; ++y, from += d.w * d.c, to += d.w * d.c)
    for (int x = 0; x < d.w; ++x)
      for (int c = 0; c < d.c; ++c) to[x * d.c + c] = from[(d.w - 1 - x) * d.c + c];
}

template <class T>
void noise_image(const ImageDims& d, const std::uint8_t* image, float a, float b,
                 const ImageDraws& draws, std::uint32_t item, T* x_t) {
  const int elements = d.elements();
  // Both scales as (gain·byte - offset)/255: numerator exact, one rounding.
  const float gain = draws.zero_to_one ? 1.0f : 2.0f, offset = draws.zero_to_one ? 0.0f : 255.0f;
  for (int first = 0; first < elements; first += kTile) {
    const int count = std::min(kTile, elements - first);
    float eps[kTile];
    draw_normals(draws.noise, item, first, count, eps);
    const std::uint8_t* in = image + first;
    T* out = x_t + first;
#pragma omp simd
    for (int i = 0; i < count; ++i)
      out[i] = a * ((gain * float(in[i]) - offset) / 255.0f) + b * eps[i];
  }
}

template <class T>
void noise_images(const ImageDims& d, const std::uint8_t* images, const std::int32_t* index,
                  const NoiseSchedule& schedule, const ImageDraws& draws, std::int32_t* t, T* x_t) {
#pragma omp parallel
  {
    std::vector<std::uint8_t> mirrored(draws.mirrors ? std::size_t(d.elements()) : 0);
#pragma omp for schedule(static)
    for (int n = 0; n < d.n; ++n) {
      const std::uint32_t item = draws.first_item + std::uint32_t(n);
      const std::uint32_t at =
          below(random4(draws.timestep, item, 0).v[0], std::uint32_t(schedule.steps));
      t[n] = std::int32_t(at);
      const std::uint8_t* image = images + std::size_t(index[n]) * d.elements();
      if (draws.mirrors && random4(draws.flip, item, 0).v[0] >> 31) {
        mirror(d, image, mirrored.data());
        image = mirrored.data();
      }
      noise_image(d, image, schedule.sqrt_alpha_bar[at], schedule.sqrt_one_minus_alpha_bar[at],
                  draws, item, x_t + std::size_t(n) * d.elements());
    }
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
void q_sample_images(CpuStream, const ImageDims& d, const std::uint8_t* images,
                     const std::int32_t* index, const NoiseSchedule& schedule,
                     const ImageDraws& given, std::int32_t* t, Act x_t) {
  ImageDraws draws = given;
  for (RandomKey* key : {&draws.timestep, &draws.noise, &draws.flip}) *key = resolved(*key);
  check_below(d.n, index, d.images, "index");
  dispatch(x_t.dtype,
           [&]<class T>(T) { noise_images(d, images, index, schedule, draws, t, x_t.as<T>()); });
}

}  // namespace haze::kernels
