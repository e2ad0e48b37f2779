// SPDX-License-Identifier: MIT
// command_line.h — from the words of a command line to what runs.
#pragma once
#include <string>
#include <vector>

#include "apps/command.h"

namespace haze::apps {

struct CommandLine {
  CommonOptions common;
  Action::Run run;   // empty where there is only text to print
  std::string text;  // help, version
};

/// Reads the arguments, without the program's name, and the environment (HAZE_DEVICE, HAZE_DATA).
/// Throws InputError naming flag, value and what is allowed, with the nearest known flag or
/// subcommand for a misspelt one.
CommandLine parse_command_line(const std::vector<std::string>& arguments);

}  // namespace haze::apps
