// reference.h — one denoising step as the formula reads, in T (double in the tests), z given.
#pragma once
#include <algorithm>

#include "kernels/sampler_step/sampler_step.h"

namespace haze::kernels::reference {

template <class T>
void sampler_step(const ItemDims& d, const SamplerStep& c, const T* x, const T* eps, const T* z,
                  T* x_prev) {
  for (std::size_t i = 0; i < d.size(); ++i) {
    T x0 = T(c.x0_from_xt) * x[i] + T(c.x0_from_eps) * eps[i];
    if (c.clip) x0 = std::clamp(x0, T(c.lo), T(c.hi));
    x_prev[i] = T(c.x0) * x0 + T(c.xt) * x[i] + T(c.eps) * eps[i] + T(c.sigma) * z[i];
  }
}

}  // namespace haze::kernels::reference
