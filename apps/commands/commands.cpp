// SPDX-License-Identifier: MIT
// commands.cpp — the list of the subcommands, which main.cpp, the help and the parser read.
#include "apps/command.h"

namespace haze::apps {

// Each in the file of its name.
Command train_command();
Command sample_command();
Command points_command();
Command edit_command();
Command verify_command();
Command export_command();
Command eval_command();
Command classifier_command();
Command data_command();
Command info_command();
Command bench_command();

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      train_command(),  sample_command(), points_command(), edit_command(),
      verify_command(), export_command(), eval_command(),   classifier_command(),
      data_command(),   info_command(),   bench_command(),
  };
  return all;
}

}  // namespace haze::apps
