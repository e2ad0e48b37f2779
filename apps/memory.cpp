// SPDX-License-Identifier: MIT
#include "apps/memory.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sys/resource.h>
#include <unistd.h>

#include "kernels/base/check.h"
#include "kernels/base/text.h"

namespace haze::apps {
namespace {

namespace fs = std::filesystem;
using Bytes = std::optional<std::uint64_t>;

/// The number that follows `key` at the beginning of a line; of a file of one word, key "".
Bytes number_in(const std::string& path, const std::string& key = "") {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t at = line.find_first_not_of(": \t", key.size());
    if (at == line.npos) return {};
    return parse_number<std::uint64_t>(leading_digits(std::string_view(line).substr(at)));
  }
  return {};
}

void bound(FreeMemory& least, std::uint64_t bytes, const char* where) {
  if (bytes < least.bytes) least = {bytes, where};
}

/// What one level of a control group leaves. Files that are cached but not in use count as free.
void bound_by_group(FreeMemory& least, const fs::path& group, const char* limit,
                    const char* usage) {
  const Bytes most = number_in(group / limit), used = number_in(group / usage);
  if (!most || !used) return;  // "max" is no number
  const std::uint64_t cached = number_in(group / "memory.stat", "inactive_file ").value_or(0);
  const std::uint64_t held = *used - std::min(cached, *used);
  bound(least, *most - std::min(held, *most), "of this control group's memory");
}

/// Rows of /proc/self/cgroup: "0::/path" of version 2, "5:memory:/path" of version 1.
void bound_by_groups(FreeMemory& least, const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const auto parts = split(line, ':');
    if (parts.size() < 3) continue;
    const bool second = parts[1].empty();
    if (!second && parts[1] != "memory") continue;
    const fs::path top = root + (second ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory");
    fs::path below = fs::path(std::string(parts[2])).relative_path();
    for (;; below = below.parent_path()) {
      bound_by_group(least, top / below, second ? "memory.max" : "memory.limit_in_bytes",
                     second ? "memory.current" : "memory.usage_in_bytes");
      if (below.empty()) break;
    }
  }
}

}  // namespace

FreeMemory free_memory(const std::string& root) {
  FreeMemory least;
  if (const Bytes kib = number_in(root + "/proc/meminfo", "MemAvailable:"))
    bound(least, *kib * 1024, "of this machine's memory");
  bound_by_groups(least, root);
  rlimit space{};
  const Bytes pages = number_in(root + "/proc/self/statm");
  if (pages && getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
    const std::uint64_t used = *pages * std::uint64_t(sysconf(_SC_PAGESIZE));
    bound(least, space.rlim_cur - std::min<std::uint64_t>(used, space.rlim_cur),
          "within ulimit -v");
  }
  return least;
}

std::string byte_text(std::uint64_t bytes) {
  const double mib = double(bytes) / (1 << 20);
  char text[40];
  if (bytes < 10240) return cat(bytes, " bytes");
  std::snprintf(text, sizeof text,
                mib < 10     ? "%.2f MiB"
                : mib < 1024 ? "%.0f MiB"
                             : "%.2f GiB",
                mib < 1024 ? mib : mib / 1024);
  return text;
}

void require_memory(const std::string& what, std::uint64_t bytes, const std::string& instead) {
  const FreeMemory free = free_memory();
  if (bytes > free.bytes)
    throw InputError(cat(what, ": needs ", byte_text(bytes), "; ", byte_text(free.bytes), ' ',
                         free.where, " are free; ", instead));
}

}  // namespace haze::apps
