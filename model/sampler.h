// sampler.h — from noise to images: DDPM (Ho et al. 2020, algorithm 2) and DDIM (Song et al. 2020,
// eq. 12), over all steps or a subset of them.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "engine/diffusion_ops.h"
#include "model/network.h"
#include "model/schedule.h"

namespace haze::model {

enum class SamplerKind : std::uint8_t { ddpm, ddim };

struct SampleOptions {
  SamplerKind kind = SamplerKind::ddpm;
  int steps = 0;   // network evaluations; 0: every step of the schedule
  double eta = 0;  // DDIM: 0 deterministic, 1 as noisy as DDPM; in [0, 1]
  std::uint64_t seed = 0;
  std::uint32_t first_item = 0;  // id of the first image: an image depends on seed and id alone
  int batch = 64;                // images per network call
  float low = -1, high = 1;      // the data's range: what DiffusionConfig::clip_x0 clips to
  /// Given noise, PyTorch-recorded chains: x_T [n,H,W,C] and z [steps,n,H,W,C] in haze's layout;
  /// z[k] is added at the k-th step from the noisy end. Empty: drawn.
  std::vector<float> x_T, z;
  /// Called after each step with (done, total); returning false stops: sample() throws RunError.
  std::function<bool(int, int)> progress;
};

/// The times of a chain of `steps` network calls, from the noisy end: T-1 first, 0 last (with one
/// step T-1 alone), evenly spaced between and rounded to the nearest. Throws InputError unless
/// 1 <= steps <= T.
std::vector<int> sampling_times(int T, int steps);

/// The coefficients of the step from time t to `previous` (-1: to the image itself), for a DDPM
/// chain over any subset of times: alpha_t = alpha_bar_t / alpha_bar_previous takes the place of
/// the schedule's own. With clip_x0 the mean is the posterior's (Ho et al. eq. 7) of the clipped
/// x0; without, algorithm 2's form, which never divides by a small alpha_bar.
engine::SamplerStep ddpm_step(const Schedule& schedule, const DiffusionConfig& diffusion, int t,
                              int previous, float low, float high);
/// The same for DDIM: sigma = eta·sqrt((1 - ab_prev)/(1 - ab)·(1 - ab/ab_prev)). With clip_x0 the
/// noise is not derived again from the clipped x0 (diffusers' default).
engine::SamplerStep ddim_step(const Schedule& schedule, const DiffusionConfig& diffusion,
                              double eta, int t, int previous, float low, float high);

/// Draws n images of [height,width,C]; returns [n,H,W,C] f32 in the data's range. Throws InputError
/// for steps outside [1, T] or eta outside [0, 1].
std::vector<float> sample(engine::Context& context, Network& network,
                          const DiffusionConfig& diffusion, int n, int height, int width,
                          int channels, const SampleOptions& options);

}  // namespace haze::model
