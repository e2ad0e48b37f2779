// SPDX-License-Identifier: MIT
#include "apps/config/find.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <set>
#include <unistd.h>

#include "apps/data/input_file.h"
#include "apps/paths.h"
#include "apps/suggest.h"
#include "engine/files/file_system.h"

namespace haze::apps {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kMaxConfig = std::size_t(1) << 20;

std::vector<fs::path> config_folders() {
  std::error_code none;
  const fs::path program = fs::read_symlink("/proc/self/exe", none).parent_path();
  return {HAZE_CONFIG_DIR, program / "configs", program / "../share/haze/configs"};
}

std::string read_stream(std::istream& in, const std::string& name, std::size_t limit) {
  std::string text;
  for (std::size_t block = 1 << 14; in && text.size() <= limit; block = text.size()) {
    const std::size_t at = text.size();
    text.resize(at + std::min(block, limit + 1 - at));
    in.read(text.data() + at, std::streamsize(text.size() - at));
    text.resize(at + std::size_t(in.gcount()));
  }
  if (in.bad()) throw InputError(cat(name, ": cannot be read; ", std::strerror(errno)));
  if (text.size() > limit) throw InputError(cat(name, ": too long; at most ", limit, " bytes"));
  return text;
}

}  // namespace

std::string read_text(const std::string& path, std::size_t limit) {
  const auto bytes = read_file(path, limit);
  return {bytes.begin(), bytes.end()};
}

std::vector<std::string> shipped_configs() {
  std::set<std::string> names;
  for (const fs::path& folder : config_folders()) {
    std::vector<std::string> files;
    engine::disk().list(folder.string(), files);  // a folder that is not there has none
    for (const fs::path file : files)
      if (file.extension() == ".json") names.insert(file.stem());
  }
  return {names.begin(), names.end()};
}

Settings load_config(const std::string& config) {
  if (config == "-") {
    if (isatty(STDIN_FILENO))
      throw InputError("--config: -; standard input is a terminal; pipe a configuration into haze");
    return parse_settings(read_stream(std::cin, "standard input", kMaxConfig), "standard input");
  }
  if (const PathKind kind = kind_of("--config", config); kind == PathKind::file)
    return parse_settings(read_text(config, kMaxConfig), printable(config));
  else if (kind == PathKind::folder)
    throw InputError(cat("--config: ", printable(config), "; a folder: a file is needed, such as ",
                         printable(config), "/config.json of a run"));
  if (config.find('/') == config.npos)
    for (const fs::path& folder : config_folders())
      if (const std::string path = folder / (config + ".json");
          kind_of("--config", path) == PathKind::file)
        return parse_settings(read_text(path, kMaxConfig), config + ".json");
  const auto names = shipped_configs();
  std::string hint = "a file, or one of";
  for (const std::string& name : names) hint += (name == names.front() ? " " : ", ") + name;
  if (const auto guess = nearest(config, names); !guess.empty())
    hint += "; did you mean " + guess + "?";
  throw InputError(cat("--config: ", printable(config), "; ", hint));
}

}  // namespace haze::apps
