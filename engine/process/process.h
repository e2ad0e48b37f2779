// SPDX-License-Identifier: MIT
// process.h — the arithmetic of the diffusion process around the network: noising a batch for
// training, one step of a sampler, the noise a chain starts from. Each lives in process/<name>.cpp.
// Nothing here has a gradient. A wrong shape or value throws CheckError with the values in the text.
//
// Images are [N,H,W,C] (any [N,...] will do). What is drawn is a function of a key, first_item + n
// and the element alone, so a batch may be split in any way.
#pragma once
#include <cstdint>

#include "engine/ops.h"
#include "kernels/blend/blend.h"
#include "kernels/guidance/guidance.h"
#include "kernels/q_sample/q_sample.h"
#include "kernels/sampler_step/sampler_step.h"

namespace haze::engine {

/// The schedule as the kernels use it: sqrt(alpha_bar) and sqrt(1 - alpha_bar), [T] f32.
struct NoiseTables {
  Tensor sqrt_alpha_bar, sqrt_one_minus_alpha_bar;
  int steps() const { return int(sqrt_alpha_bar.size()); }
};

/// x_t = sqrt(alpha_bar_t)·x0 + sqrt(1 - alpha_bar_t)·eps (Ho et al. 2020, eq. 4) from x0 [N,...]
/// f32 and t [N] i32, in the type of the activations.
Tensor q_sample(Context& context, const Tensor& x0, const Tensor& t, const NoiseTables& tables,
                const Noise& noise);

/// How the images of a batch come to their times: uniform, antithetic (t and T-1-t for neighbours
/// in the global batch) or given.
using kernels::TimeDraw;
/// How a training batch is made of stored images.
struct ImageNoising {
  std::uint64_t seed = 0;
  Late<std::uint32_t> step = {};  // training step
  std::uint32_t first_item = 0;   // index of the first image in the global batch
  bool zero_to_one = false;       // scale bytes to [0,1] instead of [-1,1]
  bool flip = false;              // mirror each image left to right with probability 1/2
  TimeDraw times = TimeDraw::uniform;
  Tensor t = {};          // [N] i32: the times, if given
  bool wants_x0 = false;  // x0 is needed too: targets other than the noise, the variational bound
};
struct NoisedImages {
  Tensor x_t;      // [N,H,W,C], activations
  Tensor t;        // [N] i32, in 0 .. T-1
  Tensor x0 = {};  // [N,H,W,C] f32, if wanted: scaled and flipped
};
/// One pass from images [M,H,W,C], u8 or f32 (taken as they are), to x_t
/// of images index [N] i32. t comes from stream kTimestep, eps from
/// kNoise, the flip from kFlip; training_noise() is that eps for mse_loss.
NoisedImages q_sample_images(Context& context, const Tensor& images, const Tensor& index,
                             const NoiseTables& tables, const ImageNoising& options);
/// The eps that q_sample_images added.
Noise training_noise(const ImageNoising& options);

/// Which labels of a training batch are withheld.
struct LabelDropping {
  float probability = 0;  // in [0,1]
  std::int32_t none = 0;  // the label that stands for "no class"
  std::uint64_t seed = 0;
  Late<std::uint32_t> step = {};
  std::uint32_t first_item = 0;
};
/// The labels of images index [N] i32 out of all [M] i32, dropped by stream kLabelDrop.
Tensor batch_labels(Context& context, const Tensor& all, const Tensor& index,
                    const LabelDropping& drop);

/// Classifier-free guidance: u + weight·(c - u), rescaled to the spread of c by `rescale`.
using kernels::Guidance;
/// For data like x [N,...,C]: c and u are the network's outputs with and without the class,
/// [N,...,C] or [N,...,2C] with the variances behind the prediction, in the type of the
/// activations. The result's variances are c's.
Tensor guidance(Context& context, const Tensor& x, const Tensor& c, const Tensor& u,
                const Guidance& options);

/// x0 = x0_from_xt·x + x0_from_out·out, clipped to [lo, hi] if `clip`;
/// x  = x0·x0 + xt·x + out·out + history·h + sigma·z, and the history kept for the next step.
using kernels::SamplerStep;
/// What a step may leave besides x, both of x's shape and f32, empty if not wanted.
struct SamplerOutputs {
  Tensor history;  // h of the step before (not read if its coefficient is 0) becomes this step's
  Tensor x0;       // overwritten with the prediction of x0
};
/// Takes x [N,...,C] f32 one step on, in place, with the network's out in the type of the
/// activations: of x's shape, or [N,...,2C] with the variances behind the prediction. z is not
/// drawn where sigma is 0. Returns x in the type of the activations: x itself in an f32 run. A step
/// that lies in device memory can be replayed with other coefficients (replay.h).
Tensor sampler_step(Context& context, const Late<SamplerStep>& step, const Tensor& x,
                    const Tensor& out, const Noise& z, const SamplerOutputs& outputs = {});

/// x = signal·x0 + noise·z where an image is known.
using kernels::BlendStep;
/// Overwrites x [N,H,W,C] f32 where the mask, [N,H,W] or [H,W] u8, is not 0; x0 [N,H,W,C] f32, or
/// [1,H,W,C] for all. z is not drawn where noise is 0.
void blend(Context& context, const Late<BlendStep>& step, const Tensor& x, const Tensor& mask,
           const Tensor& x0, const Noise& z);

/// Standard normals of (key, first_item + n), f32: x_T of sampled images with stream kPrior.
Tensor normal_noise(Context& context, Shape shape, RandomKey key, std::uint32_t first_item);

}  // namespace haze::engine
