// SPDX-License-Identifier: MIT
// sampler.h — from noise to images: runs a chain (chain.h) through the network.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "model/chain.h"
#include "model/network.h"

namespace haze::model {

/// Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598): the network is called with the
/// label and without, and the prediction is without + weight·(with - without): 1 is plain conditioning.
struct Guidance {
  double weight = 1;
  double rescale = 0;  // phi of Lin et al. 2023, arXiv:2305.08891, eq. 16; in [0, 1]
};

/// What must stay in the images (RePaint, Lugmayr et al. 2022): where the mask is 1, every step's x
/// is replaced by `image` at that step's noise level, and in the end by `image` itself.
struct Inpainting {
  std::vector<float> image;        // [H,W,C]
  std::vector<std::uint8_t> mask;  // [H,W], 1 known, 0 to be drawn
};

struct SamplingOptions : ChainOptions {
  std::uint64_t seed = 0;
  std::uint32_t first_item = 0;      // id of the first image: an image depends on seed and id alone
  int batch = 64;                    // images per network call
  std::vector<std::int32_t> labels;  // [n], classes 0 .. num_classes ("none"); empty: all "none"
  Guidance guidance;
  std::optional<Inpainting> inpainting;
  /// Where the chain starts, at its first noise level, and what it adds. x_T [n,H,W,C] and z
  /// [steps,n,H,W,C] in haze's layout; z[k] is added in the k-th step. Empty: drawn.
  std::vector<float> x_T, z;
  /// Called after each step with (done, total); returning false stops: sample() throws RunError.
  std::function<bool(int, int)> progress;
  /// Called with (step, steps, [n,H,W,C]) after each step of each batch: the prediction of x0 made
  /// in it, for batches of all n images. Empty: not computed.
  std::function<void(int, int, const std::vector<float>&)> on_x0;
};

/// Draws n images of [height,width,C]; returns [n,H,W,C] f32 in the data's range. Throws InputError
/// for options that do not fit the chain (make_chain) or the network: labels out of range, guidance
/// without classes, sizes of x_T, z, image or mask.
std::vector<float> sample(engine::Context& context, Network& network,
                          const DiffusionConfig& diffusion, int n, int height, int width,
                          int channels, const SamplingOptions& options);

/// The same through any chain, make_inversion()'s say.
std::vector<float> run_chain(engine::Context& context, Network& network, const Chain& chain, int n,
                             int height, int width, int channels, const SamplingOptions& options);

}  // namespace haze::model
