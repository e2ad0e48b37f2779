// SPDX-License-Identifier: MIT
// chain.h — a sampler as data: the steps from noise to image, each with the time at which the
// network is called and the coefficients of what is done with its output. Every method is a way of
// filling this list; sampler.h runs it without knowing which method made it.
#pragma once
#include <vector>

#include "model/chain_step.h"

namespace haze::model {

/// ddpm: Ho et al. 2020, algorithm 2. ddim: Song et al. 2020, arXiv:2010.02502, eq. 12. dpmpp:
/// DPM-Solver++(2M), Lu et al. 2022, arXiv:2211.01095, algorithm 2, first order in the first and
/// the last step. heun: Karras et al. 2022, arXiv:2206.00364, algorithm 1, on the schedule's own
/// noise levels, and where these fall to less than a quarter in one step the corrector of a
/// solver in log-SNR (solvers.cpp); it calls the network twice per step, but for the last.
enum class SamplerKind : std::uint8_t { ddpm, ddim, dpmpp, heun };

/// Which of the T times a shorter chain visits (Lin et al. 2023, arXiv:2305.08891, table 2).
/// linspace: both ends, T-1 and 0. leading: multiples of floor(T/S). trailing: back from T-1 in
/// steps of T/S. For dpmpp the first two take S+1 points and leave out 0, as diffusers does.
enum class Spacing : std::uint8_t { linspace, leading, trailing };

struct ChainOptions {
  SamplerKind kind = SamplerKind::ddpm;
  Spacing spacing = Spacing::linspace;
  int steps = 0;             // 0: every step of the schedule
  double eta = 0;            // ddim: 0 deterministic, 1 as noisy as ddpm; in [0, 1]
  float low = -1, high = 1;  // the data's range: what DiffusionConfig::clip_x0 clips to
  /// ddim with a clipped x0: the noise is what is left of x_t beside the clipped x0, not what the
  /// network said (diffusers' use_clipped_model_output, lucidrains' way; diffusers' default is not
  /// to). Without, guided or short chains leave the data's range behind.
  bool rederive_eps = true;
  double strength = 1;   // the last strength·steps of the chain only, for a start from an image
  int jump_length = 0;   // RePaint (Lugmayr et al. 2022, arXiv:2201.09865, fig. 9): after this
  int jump_repeats = 1;  // many steps go back as many, each stretch jump_repeats times in all
};

struct Chain {
  std::vector<ChainStep> steps;
  double alpha_bar_start;    // of the x that it starts from
  bool has_history = false;  // some step reads SamplerStep::history
  double start_std = 1;      // of the noise that it starts from, if that is drawn
};

/// The times of a chain of `steps` steps, from the noisy end. Throws InputError unless
/// 1 <= steps <= T, and for the one leading step of another sampler than dpmpp, which is time 0.
std::vector<int> sampling_times(int T, int steps, Spacing spacing = Spacing::linspace,
                                SamplerKind kind = SamplerKind::ddim);

/// Throws InputError for steps outside [1, T], eta outside [0, 1] or given to another sampler than
/// ddim, strength outside (0, 1], a negative jump, or jumps of another sampler than ddpm and ddim.
/// noise_at_t0 is ddpm's alone.
Chain make_chain(const DiffusionConfig& diffusion, const ChainOptions& options);

/// The deterministic DDIM chain run backwards, from an image (taken
/// to be at the chain's least noise level) to noise: Song et al.
/// 2020, eq. 14, each step with the network's output at its start.
Chain make_inversion(const DiffusionConfig& diffusion, const ChainOptions& options);

}  // namespace haze::model
