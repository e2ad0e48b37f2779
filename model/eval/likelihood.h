// SPDX-License-Identifier: MIT
// likelihood.h — negative log-likelihood in bits per dimension, by the variational bound.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/network.h"
#include "model/schedule.h"

namespace haze::model {

struct BoundOptions {
  bool zero_to_one = false;  // the network saw bytes as [0,1] instead of [-1,1]
  int times = 0;             // evaluate so many of 1 .. T-1, evenly spread, and t = 0; 0: all
  std::uint64_t seed = 0;    // of the noise: a function of seed, image and t
  int batch = 64;            // images per network call; changes nothing
  std::vector<std::int32_t> labels;             // [n] of the images; empty: "no class" for all
  std::vector<float> noise;                     // given [T,n,H,W,C] instead of drawn
  std::function<void(int, int)> progress = {};  // after each network call: (done, total)
};

/// In bits per dimension, means over the images.
struct Bound {
  double total = 0;        // prior + all T terms; with BoundOptions::times an estimate
  double prior = 0;        // KL(q(x_T|x0) || N(0,1)), what the chain's start costs
  std::vector<int> times;  // at which t the network was asked, ascending, 0 first
  /// L_t there: KL(q(x_{t-1}|x_t,x0) || p(x_{t-1}|x_t)); L_0 = -log p(x0|x1).
  std::vector<double> terms;
  /// Mean squared error of the prediction of x0 there, in the data's scale.
  std::vector<double> errors;
  /// L_t of any t in 1 .. T-1: on the straight line between
  /// its evaluated neighbours, level beyond the ends.
  double term_at(int t) const;
};

/// -log2 p(x0) <= prior + Σ L_t, for images of bytes [n,H,W,C]: L_0 is the
/// probability of the byte's interval under the last step's Gaussian, the outermost
/// intervals open (Ho et al. 2020, eq. 13), never below 1e-12. Terms between
/// evaluated times are interpolated linearly in the total. One draw of noise per
/// image and t. RunError naming t and image for a term that is not finite.
Bound bits_per_dim(engine::Context& context, Network& network, const DiffusionConfig& diffusion,
                   std::span<const std::uint8_t> images, int n, int height, int width, int channels,
                   const BoundOptions& options);

}  // namespace haze::model
