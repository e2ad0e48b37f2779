// SPDX-License-Identifier: MIT
// find.h — from what --config was given to settings.
#pragma once
#include <string>
#include <vector>

#include "apps/config/config.h"

namespace haze::apps {

/// `config` is a path, the bare name of a shipped configuration ("mnist"), or "-" for standard
/// input. A name is looked for as given, then in the source tree, then where haze is installed.
/// Throws InputError that lists the shipped names and the nearest one.
Settings load_config(const std::string& config);

/// Names of the shipped configurations, sorted.
std::vector<std::string> shipped_configs();

/// A whole file of at most `limit` bytes. Throws InputError naming it.
std::string read_text(const std::string& path, std::size_t limit);

}  // namespace haze::apps
