// SPDX-License-Identifier: MIT
#include "tests/support/paths.h"

namespace haze::test {

const std::string& source_dir() {
  static const std::string path = HAZE_SOURCE_DIR;
  return path;
}

const std::string& haze_program() {
  static const std::string path = HAZE_PROGRAM;
  return path;
}

}  // namespace haze::test
