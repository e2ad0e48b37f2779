// SPDX-License-Identifier: MIT
// foreign.h — what a file really is where it is not what it was taken for.
#pragma once
#include <string>
#include <string_view>

namespace haze::engine {

/// What a file is that begins with these bytes (nine are enough), and what to do about it: a pointer
/// of Git LFS, a page that a server sent in place of the file, something packed, JSON. "" for others.
std::string foreign_content(std::string_view first);

/// foreign_content() as the end of a message: "; it is ...", or "".
std::string foreign_hint(std::string_view first);

}  // namespace haze::engine
