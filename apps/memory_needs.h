// SPDX-License-Identifier: MIT
// memory_needs.h — what a command needs, held against what there is before it is taken.
#pragma once
#include <string>

#include "apps/config/config.h"
#include "apps/data/dataset.h"
#include "model/planned.h"

namespace haze::apps {

/// "memory: weights 8.6 MiB, gradients and optimiser 26 MiB, ...; 21 GiB of this machine's memory
/// are free" of training on the data set, which is loaded. InputError, with the largest batch that
/// fits, if there is not as much.
std::string training_needs(const RunConfig& config, const Dataset& data,
                           const model::Computing& computing);

/// The same of drawing n images with a network that is loaded.
std::string sampling_needs(const RunConfig& config, int n, const model::SamplingOptions& options,
                           const model::Computing& computing);

}  // namespace haze::apps
