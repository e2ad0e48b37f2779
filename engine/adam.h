// SPDX-License-Identifier: MIT
// adam.h — the optimiser: Adam with decoupled weight decay, gradient clipping and an EMA of the
// weights, as one pass over a network's flat buffers.
#pragma once
#include <cstdint>
#include <limits>

#include "engine/parameters.h"
#include "engine/tape.h"
#include "kernels/adam/adam.h"

namespace haze::engine {

/// Double, because 1 - beta and 1 - decay are what is computed with: 1 - 0.9999f is off by 2e-4.
struct AdamOptions {
  double learning_rate = 1e-3;  // of this step
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0;  // decoupled, as in AdamW: w is first multiplied by 1 - lr·weight_decay
  double grad_clip = 0;     // largest global norm of the gradient; <= 0: no clipping
  double ema_decay = 0;     // ema = decay·ema + (1 - decay)·w, if the parameters keep an EMA
  double skip_above = std::numeric_limits<double>::infinity();  // largest norm that is applied
};

/// One update with the gradients that backward() has left in `parameters`, number `step` counted
/// from 0 (bias correction uses step + 1): Kingma & Ba 2014, arXiv 1412.6980, as torch.optim.AdamW
/// computes it, after torch.nn.utils.clip_grad_norm_. Closes the gradients (finish_gradients) and
/// opens them for the next step (begin_gradients). Updates weights, m, v, EMA and the bf16 copy.
/// Skipped, that is without any change to those five, where the norm is above skip_above or not
/// finite, or where an unclipped gradient is so large (2^64) that its square does not fit v.
/// Returns the global norm of the gradient before clipping, and 1 if the update was made or 0 if it
/// was skipped: [2] f32 on the device, not waited for. Throws CheckError for options out of range or parameters not allocated for training.
Tensor adam_step(Context& context, Parameters& parameters, const AdamOptions& options,
                 std::uint32_t step);

/// What changes from step to step, as the kernel takes it.
using kernels::AdamStep;
/// Throws CheckError for options out of range.
AdamStep adam_coefficients(const AdamOptions& options, std::uint32_t step);
/// The same update with such coefficients, which may lie in device memory when the kernel runs, so
/// that it can be replayed (replay.h). Skipped also where one of `losses` (f32 on the device, or
/// empty) is not finite. Overwrites result [2] f32.
void adam_step(Context& context, Parameters& parameters, const Late<AdamStep>& step,
               const Tensor& losses, const Tensor& result);

/// The parameters with a gradient that is not finite, in order of registration. Reads the gradients
/// of the last step, one parameter at a time: for a step that went wrong.
std::vector<ParamId> nonfinite_gradients(const Parameters& parameters);

/// The same norm without an update. Call finish_gradients() first.
Tensor gradient_norm(Context& context, const Parameters& parameters);

}  // namespace haze::engine
