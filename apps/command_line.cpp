// SPDX-License-Identifier: MIT
#include "apps/command_line.h"

#include <algorithm>

#include "apps/flag_groups.h"
#include "apps/help.h"
#include "apps/output_checks.h"
#include "apps/suggest.h"
#include "apps/version.h"

namespace haze::apps {
namespace {

const Command& find_command(const std::string& name) {
  const auto found =
      std::ranges::find_if(commands(), [&](const Command& c) { return name == c.name; });
  if (found != commands().end()) return *found;
  Strings known;
  for (const Command& c : commands()) known.emplace_back(c.name);
  known.insert(known.end(), {"--help", "--version"});
  const std::string guess = nearest(name, known);
  throw InputError(cat(
      name,
      name.starts_with("-") ? ": no such flag before a subcommand; " : ": no such subcommand; ",
      guess.empty() ? "haze --help lists the subcommands" : "did you mean haze " + guess + "?"));
}

}  // namespace

CommandLine parse_command_line(const Strings& arguments) {
  CommandLine line;
  const std::string first = arguments.empty() ? "" : arguments[0];
  if (arguments.empty()) return line.text = short_help(), line;
  if (first == "--version") return line.text = cat("haze ", version(), "\n"), line;
  if (first == "help" && arguments.size() == 2) return parse_command_line({arguments[1], "--help"});
  if (first == "-h" || first == "--help" || first == "help") return line.text = long_help(), line;
  const Command& command = find_command(first);
  Flags flags(first, cat("Examples:\n", command.examples, "\n", command.about, "\n"),
              {arguments.begin() + 1, arguments.end()}, line.common);
  line.run = command.action.prepare(flags);
  common_flags(flags);
  line.text = flags.parse();
  if (!line.text.empty()) line.run = nullptr;
  if (line.run) check_files(line.common);
  if (line.common.quiet) line.common.refuse({"--verbose"}, "--quiet", "one of the two");
  return line;
}

}  // namespace haze::apps
