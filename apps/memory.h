// SPDX-License-Identifier: MIT
// memory.h — how much memory this process may still take, asked before it is taken: where Linux
// promises more than there is, taking it ends some process, not the call that asked.
#pragma once
#include <cstdint>
#include <string>

namespace haze::apps {

struct FreeMemory {
  std::uint64_t bytes = UINT64_MAX;
  std::string where;  // what bounds it: "of this machine's memory", "within ulimit -v", ...
};

/// The least of: what the system says is available (MemAvailable), what the control groups of this
/// process leave (version 1 and 2, each level), and what ulimit -v leaves. Whatever of these cannot
/// be read does not bound. `root` stands before /proc and /sys.
FreeMemory free_memory(const std::string& root = "");

/// InputError where it does not fit: "`what`: needs 7.50 GiB; 3.10 GiB of ... are free; `instead`".
void require_memory(const std::string& what, std::uint64_t bytes, const std::string& instead);

/// "3.10 GiB", "17 MiB", "900 bytes": three digits.
std::string byte_text(std::uint64_t bytes);

}  // namespace haze::apps
