// SPDX-License-Identifier: MIT
#include "apps/config/find.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <unistd.h>

#include "apps/suggest.h"

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
  std::string text(limit + 1, '\0');
  in.read(text.data(), std::streamsize(text.size()));
  if (in.bad()) throw InputError(cat(name, ": cannot be read; ", std::strerror(errno)));
  text.resize(std::size_t(in.gcount()));
  if (text.size() > limit) throw InputError(cat(name, ": too long; at most ", limit, " bytes"));
  return text;
}

}  // namespace

std::string read_text(const std::string& path, std::size_t limit) {
  if (!fs::is_regular_file(path)) throw InputError(cat(path, ": no such file"));
  std::ifstream in(path, std::ios::binary);
  if (!in) throw InputError(cat(path, ": cannot be opened; ", std::strerror(errno)));
  return read_stream(in, path, limit);
}

std::vector<std::string> shipped_configs() {
  std::set<std::string> names;
  for (const fs::path& folder : config_folders()) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder, none))
      if (entry.path().extension() == ".json") names.insert(entry.path().stem());
  }
  return {names.begin(), names.end()};
}

Settings load_config(const std::string& config) {
  if (config == "-") {
    if (isatty(STDIN_FILENO))
      throw InputError("--config: -; standard input is a terminal; pipe a configuration into haze");
    return parse_settings(read_stream(std::cin, "standard input", kMaxConfig), "standard input");
  }
  std::error_code none;
  if (fs::is_regular_file(config, none))
    return parse_settings(read_text(config, kMaxConfig), config);
  if (config.find('/') == config.npos)
    for (const fs::path& folder : config_folders())
      if (const fs::path path = folder / (config + ".json"); fs::is_regular_file(path, none))
        return parse_settings(read_text(path, kMaxConfig), config + ".json");
  const auto names = shipped_configs();
  std::string hint = "a file, or one of";
  for (const std::string& name : names) hint += (name == names.front() ? " " : ", ") + name;
  if (const auto guess = nearest(config, names); !guess.empty())
    hint += "; did you mean " + guess + "?";
  throw InputError(cat("--config: ", config, "; ", hint));
}

}  // namespace haze::apps
