// SPDX-License-Identifier: MIT
// data_files.h — folders with files that a test makes,
// and the real data sets where they are present.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/check.h"
#include "tests/support/files.h"
#include "tests/support/paths.h"

namespace haze::test {

using Bytes = std::vector<std::uint8_t>;

/// A temporary folder to put data into.
struct DataFolder : TemporaryFolder {
  /// Writes a file, with the folders above it, and returns its path.
  std::string write(const std::string& name, std::span<const std::uint8_t> bytes) const {
    const auto to = std::filesystem::path(path) / name;
    std::filesystem::create_directories(to.parent_path());
    std::ofstream file(to, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
    EXPECT_TRUE(file.good()) << to;
    return to.string();
  }
  std::string write(const std::string& name, const std::string& text) const {
    return write(name, std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  }
};

/// Bad input must be refused by an InputError of one line that says why.
template <class F>
void expect_refused(F f, const std::string& why, const std::string& label = {}) {
  try {
    f();
    ADD_FAILURE() << label << ": accepted, expected a refusal that says: " << why;
  } catch (const InputError& e) {
    const std::string text = e.what();
    EXPECT_THAT(text, testing::HasSubstr(why)) << label;
    EXPECT_EQ(text.find_first_of("\n\r\x1b"), text.npos) << label << ": more than a line: " << text;
  }  // anything else that is thrown fails the test
}

/// The real data sets lie beside the checkout, or where HAZE_DATA_DIR says; empty if nowhere.
inline std::string data_folder() {
  if (const char* set = std::getenv("HAZE_DATA_DIR")) return set;
  const auto beside = std::filesystem::path(source_dir()).parent_path() / "shared" / "data";
  return std::filesystem::exists(beside) ? beside.string() : std::string();
}

}  // namespace haze::test

/// Skips the test, saying why, unless the data folder has `name`.
#define HAZE_NEEDS_DATA(name)                                                              \
  if (haze::test::data_folder().empty() ||                                                 \
      !std::filesystem::exists(std::filesystem::path(haze::test::data_folder()) / (name))) \
  GTEST_SKIP() << "no " << (name) << " in ../shared/data or the folder named by HAZE_DATA_DIR"
