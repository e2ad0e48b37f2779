// SPDX-License-Identifier: MIT
// sampler_step.cpp — CPU backend: one pass, z drawn per tile.
#include "kernels/sampler_step/sampler_step.h"

#include <limits>

#include "kernels/base/stream.h"
#include "kernels/cpu/prediction_tiles.h"

namespace haze::kernels {
namespace {

/// sigma of each value of a tile: the step's, or the network's.
template <class T>
void sigmas(const PredictionDims& d, const SamplerStep& c, const T* out, int first, int count,
            float* sigma) {
  if (!c.learned || c.sigma == 0) {
    std::fill_n(sigma, count, c.sigma);
    return;
  }
  const float middle = (c.log_variance_max + c.log_variance_min) / 4;
  const float half = (c.log_variance_max - c.log_variance_min) / 4;
  each_output(d, first, count, [&](int i, int at) {
    sigma[i] = exp_f32(middle + half * float(out[at + d.channels]));
  });
}

template <class T>
void step(const PredictionDims& d, const SamplerStep& c, const float* x, const T* out,
          const Noise& noise, const SamplerOut& to, T* act) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float lo = c.clip ? c.lo : -kInfinity, hi = c.clip ? c.hi : kInfinity;
  const ItemDims items = d.items();
  for_each_tile(items, [&](int item, int first, int count, std::int64_t) {
    const std::size_t at = std::size_t(item) * items.elements + std::size_t(first);
    const T* outputs = out + std::size_t(item) * d.outputs();
    float scratch[kTile] = {}, e[kTile], sigma[kTile], h[kTile] = {}, x0[kTile], next[kTile];
    const float* z =
        c.sigma == 0 ? scratch : noise_of_tile(noise, items, item, first, count, scratch);
    each_output(d, first, count, [&](int i, int o) { e[i] = float(outputs[o]); });
    sigmas(d, c, outputs, first, count, sigma);
    if (c.history != 0) std::copy_n(to.history + at, count, h);
#pragma omp simd
    for (int i = 0; i < count; ++i) {
      const float now = x[at + i];
      float guess = c.x0_from_xt * now + c.x0_from_out * e[i];
      guess = guess < lo ? lo : guess;
      guess = guess > hi ? hi : guess;
      x0[i] = guess;
      h[i] *= c.history;
      next[i] = c.x0 * guess + c.xt * now + c.out * e[i] + h[i] + sigma[i] * z[i];
      h[i] = c.keep_x0 * guess + c.keep_xt * now + c.keep_out * e[i];
    }
    std::copy_n(next, count, to.x + at);
    if (to.history) std::copy_n(h, count, to.history + at);
    if (to.x0) std::copy_n(x0, count, to.x0 + at);
    if (!act) return;
#pragma omp simd
    for (int i = 0; i < count; ++i) act[at + i] = next[i];
  });
}

}  // namespace

template <>
void sampler_step(CpuStream, const PredictionDims& d, const Late<SamplerStep>& late, const float* x,
                  ConstAct out, const Noise& z, const SamplerOut& to) {
  const SamplerStep c = late.get();
  HAZE_CHECK(!c.learned || d.variances, "a learned sigma without variances");
  HAZE_CHECK(c.history == 0 || to.history, "history: ", c.history, " of none");
  dispatch(out.dtype, [&]<class T>(T) {
    step(d, c, x, out.as<T>(), resolved(z), to, to.act ? to.act.as<T>() : nullptr);
  });
}

}  // namespace haze::kernels
