// SPDX-License-Identifier: MIT
// paths.h — where the tests' files and the program under test are. Both paths are compiled into
// paths.cpp alone, so that every other object is the same in any checkout and any build folder.
#pragma once
#include <string>

namespace haze::test {

/// The root of the source tree, or of what a carried build came with, without a slash at its end.
const std::string& source_dir();
/// The haze program of this build.
const std::string& haze_program();

}  // namespace haze::test
