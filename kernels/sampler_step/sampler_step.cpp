// sampler_step.cpp — CPU backend: one pass, z drawn per tile.
#include "kernels/sampler_step/sampler_step.h"

#include <limits>

#include "kernels/common/noise_tiles.h"
#include "kernels/common/stream.h"

namespace haze::kernels {
namespace {

template <class T>
void step(const ItemDims& d, const SamplerStep& c, const float* x, const T* eps, const Noise& noise,
          float* x_prev, T* x_act) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float lo = c.clip ? c.lo : -kInfinity, hi = c.clip ? c.hi : kInfinity;
  for_each_tile(d, [&](int item, int first, int count, std::int64_t) {
    const std::size_t at = std::size_t(item) * d.elements + std::size_t(first);
    float room[kTile] = {};
    const float* z = c.sigma == 0 ? room : noise_of_tile(noise, d, item, first, count, room);
    float out[kTile];
#pragma omp simd
    for (int i = 0; i < count; ++i) {
      const float now = x[at + i], e = float(eps[at + i]);
      float x0 = c.x0_from_xt * now + c.x0_from_eps * e;
      x0 = x0 < lo ? lo : x0;
      x0 = x0 > hi ? hi : x0;
      out[i] = c.x0 * x0 + c.xt * now + c.eps * e + c.sigma * z[i];
    }
    std::copy_n(out, count, x_prev + at);
    if (!x_act) return;
#pragma omp simd
    for (int i = 0; i < count; ++i) x_act[at + i] = out[i];
  });
}

}  // namespace

template <>
void sampler_step(CpuStream, const ItemDims& d, const SamplerStep& c, const float* x, ConstAct eps,
                  const Noise& z, float* x_prev, Act x_act, const SamplerStep* c_at) {
  dispatch(eps.dtype, [&]<class T>(T) {
    step(d, c_at ? *c_at : c, x, eps.as<T>(), resolved(z), x_prev, x_act ? x_act.as<T>() : nullptr);
  });
}

}  // namespace haze::kernels
