// SPDX-License-Identifier: MIT
// command.h — what a subcommand is: one row, with its flags and its code in commands/NAME.cpp.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/common_options.h"
#include "apps/console.h"
#include "apps/flags.h"

namespace haze::apps {

/// What a command is given besides its options.
struct Program {
  const CommonOptions& common;
  Console& console;
  const std::vector<std::string>& arguments;  // the command line, for run.json
};

/// The flags of a command, and what runs with the options that they fill: of any type.
class Action {
 public:
  /// Returns the exit code and throws what main.cpp maps to one.
  using Run = std::function<int(const Program&)>;

  template <class Options>
  Action(void (*add_flags)(Flags&, Options&), int (*run)(const Options&, const Program&))
      : prepare_([=](Flags& flags) -> Run {
          const auto options = std::make_shared<Options>();
          add_flags(flags, *options);
          return [=](const Program& program) { return run(*options, program); };
        }) {}

  /// Adds the flags. What is returned runs with the values that they have after parsing.
  Run prepare(Flags& flags) const { return prepare_(flags); }

 private:
  std::function<Run(Flags&)> prepare_;
};

struct Command {
  const char* name;
  const char* summary;   // one line
  const char* examples;  // two commands or more that can be typed, each on its own line
  const char* about;     // what it does, for its help
  Action action;
};

/// All of them, in the order in which the help lists them.
const std::vector<Command>& commands();

}  // namespace haze::apps
