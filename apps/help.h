// SPDX-License-Identifier: MIT
// help.h — the help of the program as a whole; a subcommand's own is made by its flags.
#pragma once
#include <string>

namespace haze::apps {

/// `haze` alone: ten lines.
std::string short_help();
/// `haze --help`: the subcommands, the exit codes and the environment.
std::string long_help();

}  // namespace haze::apps
