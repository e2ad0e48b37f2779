// SPDX-License-Identifier: MIT
#include "apps/data/image_list.h"

#include <algorithm>
#include <filesystem>

#include "apps/data/input_file.h"
#include "kernels/base/check.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMostFiles = 10'000'000, kMostPath = 4096;
constexpr int kMostDepth = 16;

void walk(const std::string& root, const std::string& below, int depth, ImageList& list) {
  const std::string folder = below.empty() ? root : root + '/' + below;
  if (depth > kMostDepth)
    throw InputError(
        cat(printable(folder), ": folders nest too deep; at most ", kMostDepth, " are allowed"));
  std::error_code error;
  fs::directory_iterator it(folder, error);
  while (!error && it != fs::directory_iterator()) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with('.')) {
      const std::string path = below.empty() ? name : below + '/' + name;
      if (root.size() + 1 + path.size() > kMostPath)
        throw InputError(cat(printable(root + '/' + path), ": ", root.size() + 1 + path.size(),
                             " bytes of path; at most ", kMostPath, " are allowed"));
      std::error_code ignored;  // a dangling link is no folder, and is refused when it is read
      if (it->is_directory(ignored)) {
        if (it->is_symlink(ignored))
          throw InputError(cat(printable(root + '/' + path),
                               ": a symbolic link to a folder; name that folder itself, only links "
                               "to files are followed"));
        walk(root, path, depth + 1, list);
      } else if (!named_as_image(name)) {
        ++list.others;
      } else {
        list.paths.push_back(path);
      }
      if (list.paths.size() + list.others > kMostFiles)
        throw InputError(
            cat(printable(root), ": more than ", kMostFiles, " files; that many are allowed"));
    }
    it.increment(error);
  }
  if (error)
    throw InputError(
        cat(printable(folder), ": ", error.message(), "; a readable folder is needed"));
}

}  // namespace

bool named_as_image(const std::string& name) {
  const auto dot = name.rfind('.');
  const std::string ending = dot == name.npos ? "" : lower(name.substr(dot));
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

ImageList list_images(const std::string& folder) {
  ImageList list;
  std::error_code error;
  list.root = fs::canonical(folder, error).string();
  if (error)
    throw InputError(
        cat(printable(folder), ": ", error.message(), "; a readable folder is needed"));
  walk(list.root, "", 0, list);
  if (list.paths.empty())
    throw InputError(cat(printable(folder),
                         ": no images; files named .png, .jpg or .jpeg are needed (", list.others,
                         " others found)"));
  std::sort(list.paths.begin(), list.paths.end());  // char_traits<char> compares as unsigned bytes
  return list;
}

std::string resolve_below(const std::string& root, const std::string& path) {
  std::error_code error;
  const std::string real = fs::canonical(root + '/' + path, error).string();
  if (error)
    throw InputError(
        cat(printable(root + '/' + path), ": ", error.message(), "; a readable file is needed"));
  if (!real.starts_with(root == "/" ? root : root + '/'))
    throw InputError(cat(printable(root + '/' + path), ": leads to ", printable(real),
                         "; links must stay below ", printable(root)));
  return real;
}

}  // namespace haze::apps
