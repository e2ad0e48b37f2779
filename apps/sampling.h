// SPDX-License-Identifier: MIT
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
model::SamplingOptions sampler_options(const SampleOptions& o, const RunConfig& config,
                                       Console& console);

}  // namespace haze::apps
