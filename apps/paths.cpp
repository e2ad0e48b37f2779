// SPDX-License-Identifier: MIT
#include "apps/paths.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sys/stat.h>

#include "apps/data/input_file.h"
#include "kernels/base/check.h"

namespace haze::apps {

PathKind kind_of(const std::string& what, const std::string& path) {
  struct stat info {};
  if (path.find('\0') != path.npos) return PathKind::none;
  if (::stat(path.c_str(), &info) == 0)
    return S_ISREG(info.st_mode)   ? PathKind::file
           : S_ISDIR(info.st_mode) ? PathKind::folder
                                   : PathKind::other;
  if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG) return PathKind::none;
  throw InputError(cat(what, ": ", printable(path), "; ", std::strerror(errno)));
}

std::string why_no_folder(const std::string& what, const std::string& path) {
  const PathKind kind = kind_of(what, path);
  if (kind == PathKind::folder) return "";
  if (kind == PathKind::file) return "a file; the folder that it lies in is asked for";
  if (kind == PathKind::other) return "not a folder";
  std::error_code none;
  const std::string here = std::filesystem::current_path(none).string();
  return path.starts_with('/')
             ? "the folder does not exist"
             : cat("the folder does not exist in ", printable(here),
                   ", where haze was started and from which a relative path counts");
}

bool ends_in_name(const std::string& path) {
  const std::string name = last_name(path);
  return !name.empty() && name != "." && name != "..";
}

std::string last_name(const std::string& path) {
  return std::filesystem::path(path + "/").parent_path().filename().string();
}

}  // namespace haze::apps
