// SPDX-License-Identifier: MIT
// sampling.h — from the command line's options to those of the sampler: for `haze sample` and for
// every other command that draws images.
#pragma once
#include "apps/config/config.h"
#include "apps/console.h"
#include "apps/data/classes.h"
#include "apps/sample_options.h"
#include "model/sampler.h"

namespace haze::apps {

/// Holds the options against the configuration of the trained network, reads given noise, and shows
/// progress on the console. `classes`: the names that --class may say. InputError naming flag, value
/// and what is allowed.
model::SamplingOptions sampler_options(const SampleOptions& o, const RunConfig& config,
                                       const ClassNames& classes, Console& console);

/// What a message adds about the classes that are drawn: ", class 2 (dog)", "" for none.
std::string class_note(const std::vector<std::int32_t>& labels, const ClassNames& classes);

}  // namespace haze::apps
