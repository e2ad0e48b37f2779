// sampler_step.h — contract of one denoising step. DDPM (Ho et al. 2020, algorithm 2) and DDIM
// (Song et al. 2020, arXiv 2010.02502, eq. 12) are one formula with different coefficients.
#pragma once
#include "kernels/common/dtype.h"
#include "kernels/common/noise.h"

namespace haze::kernels {

/// Coefficients of one step. A sampler that does not clip leaves the three x0 coefficients at 0 and
/// puts everything into xt and eps: near t = T, x0 is a small difference of large numbers.
struct SamplerStep {
  float x0_from_xt = 0, x0_from_eps = 0;  // the prediction of x0
  float x0 = 0, xt = 0, eps = 0, sigma = 0;
  bool clip = false;
  float lo = -1, hi = 1;
};

/// x0[i] = c.x0_from_xt·x[i] + c.x0_from_eps·eps[i], limited to [c.lo, c.hi] if c.clip, then
/// x_prev[i] = c.x0·x0[i] + c.xt·x[i] + c.eps·eps[i] + c.sigma·z[i]. x and x_prev [n,elements] f32,
/// eps of the type of activations. Overwrites x_prev, which may be x, and, unless null, x_act (no
/// alias of the others): x_prev in the type of activations. z is neither drawn nor read if sigma is
/// 0. NaN stays NaN. If `c_at` is set, the coefficients are read from there, where the kernel runs,
/// and `c` is ignored: they change from replay to replay of a captured CUDA graph.
template <class S>
void sampler_step(S stream, const ItemDims& d, const SamplerStep& c, const float* x, ConstAct eps,
                  const Noise& z, float* x_prev, Act x_act, const SamplerStep* c_at = nullptr);

}  // namespace haze::kernels
