// sampling.h — from the command line's options to those of the sampler: for `haze sample` and for
// every other command that draws images.
#pragma once
#include "apps/config/config.h"
#include "apps/console.h"
#include "apps/sample_options.h"
#include "model/sampler.h"

namespace haze::apps {

/// Holds the options against the configuration of the trained network, reads given noise, and shows
/// progress on the console. InputError naming flag, value and what is allowed.
model::SampleOptions sampler_options(const SampleOptions& o, const RunConfig& config,
                                     Console& console);

constexpr model::SamplerKind kSamplers[] = {model::SamplerKind::ddpm, model::SamplerKind::ddim,
                                            model::SamplerKind::dpmpp, model::SamplerKind::heun};
const char* name_of(model::SamplerKind kind);
const char* name_of(model::Spacing spacing);
/// The sampler of that name. InputError for another, and for "all".
model::SamplerKind sampler_kind(const std::string& name);

}  // namespace haze::apps
