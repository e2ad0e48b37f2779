// SPDX-License-Identifier: MIT
#include "tests/fuzz/files.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "kernels/base/text.h"

namespace haze::fuzz {
namespace {

namespace fs = std::filesystem;

/// Names that stay below the folder: the bytes are the input's own choice but for that.
std::string kept_below(std::string_view name) {
  std::string kept;
  std::size_t parts = 0;
  for (const std::string_view part : split(name, '/')) {
    if (part.empty() || part == "." || part == ".." || part.find('\0') != part.npos) continue;
    if (++parts > 20) break;
    kept += (kept.empty() ? "" : "/") + std::string(part);
  }
  return kept.empty() ? "x" : kept;
}

}  // namespace

Folder::Folder() {
  std::error_code none;
  const fs::path above =
      fs::is_directory("/dev/shm", none) ? "/dev/shm" : fs::temp_directory_path();
  path_ = (above / "haze_fuzz_XXXXXX").string();
  if (!::mkdtemp(path_.data())) throw std::runtime_error("cannot make " + path_);
}

Folder::~Folder() {
  std::error_code none;
  fs::remove_all(path_, none);
}

std::string Folder::write(const std::string& name, Input bytes) const {
  const fs::path to = fs::path(path_) / name;
  std::error_code refused;
  fs::create_directories(to.parent_path(), refused);
  if (refused) return "";
  std::ofstream file(to, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
  file.close();
  return file.good() ? to.string() : "";
}

std::vector<PackedFile> unpack(Input input, std::size_t most) {
  const auto take = [&](std::size_t n) {
    const Input taken = input.first(std::min(n, input.size()));
    input = input.subspan(taken.size());
    return taken;
  };
  std::vector<PackedFile> files;
  while (!input.empty() && files.size() < most) {
    const std::string name = text_of(take(take(1)[0]));
    std::size_t size = 0, shift = 0;
    for (const std::uint8_t b : take(4)) size |= std::size_t{b} << shift, shift += 8;
    const Input content = take(size);
    files.push_back({kept_below(name), {content.begin(), content.end()}});
  }
  return files;
}

std::string text_of(Input input) { return {input.begin(), input.end()}; }

}  // namespace haze::fuzz
