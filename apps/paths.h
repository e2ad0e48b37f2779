// SPDX-License-Identifier: MIT
// paths.h — what lies at a path that a user gave. The calls of std::filesystem that throw are used
// nowhere in apps/: their text names a C++ function, not the flag.
#pragma once
#include <cstdint>
#include <string>

namespace haze::apps {

enum class PathKind : std::uint8_t { none, file, folder, other };

/// Follows links. A name too long to exist is none, and so is a path below a file. InputError
/// "WHAT: PATH; Permission denied" where the system cannot say; `what` is the flag.
PathKind kind_of(const std::string& what, const std::string& path);

/// Why there is no folder at `path`, for a message: that nothing is there, or a file; for a relative
/// path, where it counts from. InputError as kind_of, and "" where there is one.
std::string why_no_folder(const std::string& what, const std::string& path);

/// Whether the path ends in a name that a folder can be moved away from: not "/", "." or "..".
bool ends_in_name(const std::string& path);

/// The name of a run: the last part of its folder's path, or the file's name.
std::string last_name(const std::string& path);

}  // namespace haze::apps
