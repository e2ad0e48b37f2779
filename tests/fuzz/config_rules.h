// SPDX-License-Identifier: MIT
// config_rules.h — what holds of every configuration that is accepted.
#pragma once
#include "apps/config/config.h"

namespace haze::fuzz {

void hold_to_promises(const apps::RunConfig& config, const apps::Settings& settings);

}  // namespace haze::fuzz
