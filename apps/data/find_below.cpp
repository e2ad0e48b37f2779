// SPDX-License-Identifier: MIT
#include "apps/data/find_below.h"

#include <algorithm>

#include "apps/data/input_file.h"
#include "apps/paths.h"
#include "engine/files/new_file.h"
#include "kernels/base/check.h"

namespace haze::apps {
namespace {

std::optional<std::string> find_in(const std::string& folder,
                                   const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (const std::string path = folder + '/' + name; kind_of("data set", path) == PathKind::file)
      return path;
  return {};
}

std::vector<std::string> folders_in(const std::string& folder) {
  constexpr std::size_t kMost = 1000;  // folders of images, not of a data set's files
  std::vector<std::string> all, folders;
  engine::disk().list(folder, all);  // one that cannot be read is passed over
  std::ranges::sort(all);
  if (all.size() > kMost) return {};
  for (const std::string& name : all)
    if (!name.starts_with('.') && kind_of("data set", folder + '/' + name) == PathKind::folder)
      folders.push_back(folder + '/' + name);
  return folders;
}

}  // namespace

std::optional<std::string> find_below(const std::string& folder,
                                      const std::vector<std::string>& names) {
  if (const auto here = find_in(folder, names)) return here;
  std::vector<std::string> level = folders_in(folder);
  for (int depth = 0; depth < 2; ++depth) {
    std::vector<std::string> found, next;
    for (const std::string& below : level) {
      if (const auto path = find_in(below, names)) found.push_back(*path);
      for (const std::string& deeper : folders_in(below)) next.push_back(deeper);
    }
    if (found.size() > 1)
      throw InputError(cat("data set: ", printable(folder), "; both ", printable(found[0]), " and ",
                           printable(found[1]), " lie below it: name the folder of one of them"));
    if (found.size() == 1) return found[0];
    level = std::move(next);
  }
  return {};
}

}  // namespace haze::apps
