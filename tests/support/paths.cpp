// SPDX-License-Identifier: MIT
#include "tests/support/paths.h"

#include <filesystem>

namespace haze::test {
namespace {

namespace fs = std::filesystem;

// Where the build was made its own paths hold. A carried one (scripts/gpu-carry) lies in BUILD/PRESET
// of a tree as well, and finds that from where the program is.
fs::path here() {
  std::error_code none;
  return fs::read_symlink("/proc/self/exe", none).parent_path();
}
std::string first_there(const fs::path& built, const fs::path& carried) {
  std::error_code none;
  return fs::exists(built, none) ? built : carried;
}

}  // namespace

const std::string& source_dir() {
  static const std::string path = first_there(HAZE_SOURCE_DIR, here().parent_path().parent_path());
  return path;
}

const std::string& haze_program() {
  static const std::string path = first_there(HAZE_PROGRAM, here() / "haze");
  return path;
}

}  // namespace haze::test
