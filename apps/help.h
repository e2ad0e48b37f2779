// help.h — the texts of haze's help: what each subcommand is for, and two examples of each.
#pragma once
#include <string>
#include <vector>

#include "apps/options.h"

namespace haze::apps {

struct CommandHelp {
  Command command;
  const char* name;
  const char* summary;   // one line
  const char* examples;  // two commands that can be typed, each on its own line
  const char* about;
};

const CommandHelp* find_command(const std::string& name);
std::vector<std::string> command_names();
/// `haze` alone: ten lines.
std::string short_help();
/// `haze --help`: the subcommands, the exit codes and the environment.
std::string long_help();

}  // namespace haze::apps
