// SPDX-License-Identifier: MIT
// sampler_step.h — contract of one denoising step. What differs between samplers is coefficients:
// DDPM (Ho et al. 2020, algorithm 2), DDIM (Song et al. 2020, arXiv 2010.02502, eq. 12), several
// steps' predictions combined (DPM-Solver++ 2M, Lu et al. 2022, arXiv 2211.01095, algorithm 2),
// learned variances (Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 15).
#pragma once
#include "kernels/base/dtype.h"
#include "kernels/base/prediction_dims.h"

namespace haze::kernels {

/// Coefficients of one step. A sampler that does not clip may leave those of x0 at 0 and put
/// everything into xt and out: near t = T, x0 is a small difference of large numbers.
struct SamplerStep {
  float x0_from_xt = 0, x0_from_out = 0;                  // the prediction of x0,
  bool clip = false;                                      // limited to
  float lo = -1, hi = 1;                                  // this range
  float x0 = 0, xt = 0, out = 0, history = 0, sigma = 0;  // the step
  float keep_x0 = 0, keep_xt = 0, keep_out = 0;           // the history that the next one finds
  bool learned = false;  // sigma² of each value from the network: with f = (v + 1)/2,
  float log_variance_min = 0, log_variance_max = 0;  // exp(f·max + (1 - f)·min), unless sigma is 0
};

/// What a step leaves, [n,pixels,channels] each.
struct SamplerOut {
  float* x = nullptr;        // x_prev; may be the x that was read
  Act act;                   // unless null, x_prev in the type of activations
  float* history = nullptr;  // unless null, h of the last step is replaced by the new one
  float* x0 = nullptr;       // unless null, the prediction of x0, limited if c.clip
};

/// Per value: x0 = c.x0_from_xt·x + c.x0_from_out·out, limited to [c.lo, c.hi] if c.clip, then
///   x_prev = c.x0·x0 + c.xt·x + c.out·out + c.history·h + c.sigma·z,
///   h      = c.keep_x0·x0 + c.keep_xt·x + c.keep_out·out.
/// x [n,pixels,channels] f32; out of the type of activations, with d.variances the variances v
/// beside it. Overwrites what `to` names (no aliases but x). z is neither drawn nor read if sigma
/// is 0, h is not read if c.history is 0. NaN stays NaN. Coefficients that ask for
/// a history or variances that are not there: CheckError on the CPU, NaN on a device.
template <class S>
void sampler_step(S stream, const PredictionDims& d, const Late<SamplerStep>& c, const float* x,
                  ConstAct out, const Noise& z, const SamplerOut& to);

}  // namespace haze::kernels
