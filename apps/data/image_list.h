// SPDX-License-Identifier: MIT
// image_list.h — which files of a folder are pictures.
#pragma once
#include <string>
#include <vector>

namespace haze::apps {

struct ImageList {
  std::string root;                // canonical
  std::vector<std::string> paths;  // below root, sorted bytewise
  int others = 0;                  // files with other names, left out
};

/// Whether a file's name ends as those of pictures do: .png, .jpg or .jpeg in upper or lower case.
bool named_as_image(const std::string& name);

/// Every file below `folder` that is named as an image. Names that start
/// with a dot are passed over, folders too. InputError: none found, more than 10 million files,
/// folders deeper than 16, paths longer than 4096 bytes, a symbolic link to a folder, a folder that
/// cannot be read.
ImageList list_images(const std::string& folder);

/// Path to open for `path` below `root` with every symbolic link resolved; InputError if that
/// leaves `root`, so that a data set from elsewhere cannot name files of its own choice.
std::string resolve_below(const std::string& root, const std::string& path);

}  // namespace haze::apps
