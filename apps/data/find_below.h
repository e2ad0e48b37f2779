// SPDX-License-Identifier: MIT
// find_below.h — files of a data set, in the folder that was given or a little below it.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace haze::apps {

/// The regular file of one of the names, the first one's first, in `folder`; else the only one in
/// the folders below, two deep, as MNIST/raw is. Nothing if there is none. InputError for several
/// below, and for a folder that cannot be read.
std::optional<std::string> find_below(const std::string& folder,
                                      const std::vector<std::string>& names);

}  // namespace haze::apps
