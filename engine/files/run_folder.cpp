// SPDX-License-Identifier: MIT
// run_folder.cpp — the lock of a run folder and the names of its checkpoints.
#include <algorithm>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

#include "engine/files/checkpoint.h"
#include "engine/files/new_file.h"
#include "kernels/base/text.h"

namespace haze::engine {
namespace {
constexpr std::string_view kPrefix = "step-", kSuffix = ".safetensors";

/// Whether the writers of a run make a file of that name in that folder of it.
bool is_ours(std::string_view folder, std::string_view name) {
  if (folder.empty()) return name == "config.json" || name == "run.json" || name == "metrics.jsonl";
  const std::string_view suffix = folder == "/samples" ? ".png" : kSuffix;
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  const std::size_t digits = leading_digits(name).size();
  return digits >= 8 && name.substr(digits) == suffix;
}

std::string file_name(std::uint64_t step) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "%08llu", static_cast<unsigned long long>(step));
  return std::string(kPrefix) + digits + std::string(kSuffix);
}
}  // namespace

RunLock::RunLock(FileSystem& fs, const std::string& run) : fs_(fs) {
  make_directories(fs, run + "/checkpoints");
  const std::string path = run + "/run.lock";
  require_regular(fs, path);
  fd_ = uninterrupted([&] { return fs.open(path, O_CREAT | O_RDWR | O_NOFOLLOW | O_NONBLOCK); });
  if (fd_ < 0) throw RunError(failure("open", path, fd_));
  char owner[12] = {};
  const int r = uninterrupted([&] { return fs.lock(fd_); });
  if (r < 0) {
    fs.pread(fd_, owner, sizeof owner - 1, 0);
    fs.close(fd_);
    if (r != -EWOULDBLOCK) throw RunError(failure("lock", path, r));
    const std::string text = owner;
    throw InputError(cat("run folder ", run, ": in use by process ",
                         text.substr(0, text.find_first_of(" \n")),
                         "; stop that one or choose another folder"));
  }
  // For the message above only: nothing depends on it.
  const int digits = std::snprintf(owner, sizeof owner, "%-10d\n", int(::getpid()));
  fs.pwrite(fd_, owner, std::size_t(digits), 0);
  for (const std::string folder : {"", "/checkpoints", "/samples"})
    remove_temporaries(fs, run + folder, [&](auto name) { return is_ours(folder, name); });
}

RunLock::~RunLock() { fs_.close(fd_); }

std::string checkpoint_path(const std::string& run, std::uint64_t step) {
  return run + "/checkpoints/" + file_name(step);
}

std::vector<std::uint64_t> list_checkpoints(FileSystem& fs, const std::string& run) {
  std::vector<std::string> names;
  const std::string directory = run + "/checkpoints";
  const int r = fs.list(directory, names);
  if (r == -ENOENT) return {};
  if (r < 0) throw InputError(failure("list", directory, r));
  std::vector<std::uint64_t> steps;
  for (const auto& name : names) {
    if (name.size() <= kPrefix.size() + kSuffix.size()) continue;
    const auto step =
        parse_number<std::uint64_t>(leading_digits(std::string_view(name).substr(kPrefix.size())));
    if (step && name == file_name(*step)) steps.push_back(*step);  // nothing else spells this step
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

}  // namespace haze::engine
