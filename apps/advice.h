// SPDX-License-Identifier: MIT
// advice.h — what a user should know of a configuration that runs, but will not do what is hoped
// for: one line each, to be said when training or sampling starts.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/config/config.h"

namespace haze::apps {

using Advice = std::vector<std::string>;

/// Of a run about to start or go on: an unclipped eps prediction on a schedule that ends in all but
/// pure noise, an EMA that reaches back further than the run.
Advice advice_for_training(const RunConfig& config);

/// Of a run of `before` that goes on as `now` after `step` steps: the jump of a decaying learning
/// rate whose end has moved.
Advice advice_for_resuming(const RunConfig& before, const RunConfig& now, std::uint64_t step);

/// Of weights of `step` steps, averaged or not: the same prediction, and averages that are still
/// near the initial weights.
Advice advice_for_sampling(const RunConfig& config, std::uint64_t step, bool ema);

}  // namespace haze::apps
