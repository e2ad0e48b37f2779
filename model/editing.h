// SPDX-License-Identifier: MIT
// editing.h — sampling that starts from images instead of noise: noise them part of the way and let
// the chain find its way back. Images are [n,H,W,C] in the data's range.
#pragma once
#include <vector>

#include "model/sampler.h"

namespace haze::model {

struct ImageSize {
  int height, width, channels;
  std::size_t size() const {
    return std::size_t(height) * std::size_t(width) * std::size_t(channels);
  }
};

/// n variations of an image [H,W,C]: the last `strength` of the chain, from the image noised
/// (noised.h) to its first level (Meng et al. 2021, arXiv:2108.01073).
std::vector<float> variations(engine::Context& context, Network& network,
                              const DiffusionConfig& diffusion, const std::vector<float>& image,
                              ImageSize size, int n, SamplingOptions options);

/// n images on the way from a to b, both ends included: both are noised with the same noise to the
/// chain's first level, and what is mixed there, (1-l)·a + l·b, is denoised (Ho et al. 2020, §4.3).
/// The chain's own noise is the same for all of them.
std::vector<float> interpolation(engine::Context& context, Network& network,
                                 const DiffusionConfig& diffusion, const std::vector<float>& a,
                                 const std::vector<float>& b, ImageSize size, int n,
                                 SamplingOptions options);

/// The images after DDIM inversion (make_inversion) and the deterministic DDIM chain back; what it
/// changes is what the network and the number of steps do not resolve. Throws InputError for
/// another sampler than ddim or eta other than 0.
std::vector<float> reconstruction(engine::Context& context, Network& network,
                                  const DiffusionConfig& diffusion,
                                  const std::vector<float>& images, ImageSize size,
                                  SamplingOptions options);

}  // namespace haze::model
