// SPDX-License-Identifier: MIT
// common_options.h — the options that every subcommand takes.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "apps/words.h"

namespace haze::apps {

enum class Color : std::uint8_t { automatic, always, never };
template <>
inline constexpr auto kWords<Color> = words_for<Color>("auto", "always", "never");

/// A file, folder or data set that a flag names, to be read.
struct Input {
  std::string flag, path;
};

/// pictures: one file, or with DIR/ and %05d one for each image. run: a run's folder.
enum class OutputKind : std::uint8_t { picture, pictures, tensors, text, log, run };
/// And one to be written.
struct OutputFile {
  std::string flag, path;
  OutputKind kind;
};

struct CommonOptions {
  bool quiet = false, verbose = false, progress = true;
  Color color = Color::automatic;
  std::string log_file;
  std::string device = "cpu";
  int threads = 0;              // 0: as many as the machine has
  std::set<std::string> given;  // flags on the command line, as "--steps"; not the environment's

  std::vector<Input> inputs;  // with defaults and the environment's, without those that are ""
  std::vector<OutputFile> outputs;

  /// InputError if one of the flags was given: "--strength: given with inpaint; it belongs to
  /// vary". For flags that would change nothing.
  void refuse(std::initializer_list<const char*> flags, const std::string& with,
              const std::string& allowed) const;
};

}  // namespace haze::apps
