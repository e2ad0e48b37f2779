// SPDX-License-Identifier: MIT
#include "model/editing.h"

#include "model/noised.h"

namespace haze::model {

namespace {

/// The progress of one of several runs, as a part of them all.
std::function<bool(int, int)> part_of(const std::function<bool(int, int)>& progress, int before,
                                      int all) {
  if (!progress) return {};
  return [&progress, before, all](int done, int) { return progress(before + done, all); };
}

/// n images at the chain's first level, all of one image [H,W,C]; image k with the noise of k.
std::vector<float> start_from(engine::Context& context, const DiffusionConfig& diffusion,
                              const Chain& chain, const std::vector<float>& image, ImageSize size,
                              int n, std::uint64_t seed) {
  HAZE_CHECK(n >= 1 && image.size() == size.size(), n, " images of ", image.size(), " values, not ",
             size.size());
  std::vector<float> all;
  for (int k = 0; k < n; ++k) all.insert(all.end(), image.begin(), image.end());
  return noised(context, make_schedule(diffusion), all, {n, size.height, size.width, size.channels},
                chain.steps[0].t, seed);
}

}  // namespace

std::vector<float> variations(engine::Context& context, Network& network,
                              const DiffusionConfig& diffusion, const std::vector<float>& image,
                              ImageSize size, int n, SamplingOptions options) {
  const Chain chain = make_chain(diffusion, options);
  options.x_T = start_from(context, diffusion, chain, image, size, n, options.seed);
  return run_chain(context, network, chain, n, size.height, size.width, size.channels, options);
}

std::vector<float> interpolation(engine::Context& context, Network& network,
                                 const DiffusionConfig& diffusion, const std::vector<float>& a,
                                 const std::vector<float>& b, ImageSize size, int n,
                                 SamplingOptions options) {
  if (n < 2) throw InputError(cat("images: ", n, "; an interpolation has at least 2"));
  const Chain chain = make_chain(diffusion, options);
  const auto from = start_from(context, diffusion, chain, a, size, 1, options.seed);
  const auto to = start_from(context, diffusion, chain, b, size, 1, options.seed);
  std::vector<float> images;
  for (int k = 0; k < n; ++k) {  // one by one: each with the chain's noise of image 0
    const float l = float(k) / float(n - 1);
    SamplingOptions one = options;
    one.x_T.clear();
    const int steps = int(chain.steps.size());
    one.progress = part_of(options.progress, k * steps, n * steps);
    for (std::size_t i = 0; i < from.size(); ++i) one.x_T.push_back((1 - l) * from[i] + l * to[i]);
    if (!options.labels.empty()) one.labels = {options.labels[std::size_t(k)]};
    const auto image =
        run_chain(context, network, chain, 1, size.height, size.width, size.channels, one);
    images.insert(images.end(), image.begin(), image.end());
  }
  return images;
}

std::vector<float> reconstruction(engine::Context& context, Network& network,
                                  const DiffusionConfig& diffusion,
                                  const std::vector<float>& images, ImageSize size,
                                  SamplingOptions options) {
  if (options.kind != SamplerKind::ddim || options.eta != 0)
    throw InputError("sampler, eta: a reconstruction takes ddim with eta 0, which is reversible");
  const int n = int(images.size() / size.size());
  const Chain there = make_inversion(diffusion, options), back = make_chain(diffusion, options);
  const int batches = (n + options.batch - 1) / options.batch;
  const int first = batches * int(there.steps.size());
  const int all = first + batches * int(back.steps.size());
  const auto run = [&](const Chain& chain, const std::vector<float>& from, int before) {
    SamplingOptions one = options;
    one.x_T = from;
    one.progress = part_of(options.progress, before, all);
    return run_chain(context, network, chain, n, size.height, size.width, size.channels, one);
  };
  return run(back, run(there, images, 0), first);
}

}  // namespace haze::model
