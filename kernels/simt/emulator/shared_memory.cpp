// SPDX-License-Identifier: MIT
// shared_memory.cpp — the block's shared memory: one arena, dynamic part first, variables after it
// with red zones between, all filled with NaN bits before each block.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include "kernels/simt/emulator/block.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define HAZE_POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define HAZE_UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define HAZE_POISON(p, n) ((void)(p), (void)(n))
#define HAZE_UNPOISON(p, n) ((void)(p), (void)(n))
#endif

namespace haze::simt {
namespace {

constexpr std::size_t kCapacity = 512 * 1024, kRedZone = 64, kAlign = 1024;
struct Variable {
  const void* key;
  std::size_t offset;
};
std::size_t dynamic, used, static_bytes;
std::size_t most_static;  // of the launch's blocks
std::map<const void*, std::size_t>& static_by_kernel() {
  static std::map<const void*, std::size_t> all;
  return all;
}
std::vector<Variable> variables;

char* arena() {
  static char* const memory = static_cast<char*>(std::aligned_alloc(kAlign, kCapacity));
  return memory;
}

}  // namespace

const char* shared_arena() { return arena(); }
std::size_t shared_capacity() { return kCapacity; }
bool is_shared(const void* p) {
  return static_cast<std::size_t>(static_cast<const char*>(p) - arena()) < kCapacity;
}

void open_shared_memory(std::size_t dynamic_bytes) {
  dynamic = dynamic_bytes;
  used = most_static = 0;
}

void poison_shared_memory() {
  HAZE_UNPOISON(arena(), kCapacity);
  std::memset(arena(), 0xff, std::max(used, dynamic));
  HAZE_POISON(arena(), kCapacity);
  HAZE_UNPOISON(arena(), dynamic);
  used = (dynamic + kRedZone + 127) / 128 * 128;
  static_bytes = 0;
  variables.clear();
}

void close_shared_memory() { HAZE_UNPOISON(arena(), kCapacity); }

std::size_t static_shared_of(const void* entry) {
  const auto at = static_by_kernel().find(entry);
  return at == static_by_kernel().end() ? 0 : at->second;
}
bool was_launched(const void* entry) { return static_by_kernel().contains(entry); }
void note_static_shared(const void* entry) {
  std::size_t& bytes = static_by_kernel()[entry];
  bytes = std::max(bytes, most_static);
}

void* dynamic_shared() {
  if (dynamic == 0)
    fail("the kernel uses dynamic shared memory, and was launched with 0 bytes of it");
  return arena();
}

void* shared_variable(const void* key, std::size_t bytes, std::size_t alignment) {
  for (const Variable& v : variables)
    if (v.key == key) return arena() + v.offset;
  alignment = std::max<std::size_t>(alignment, 16);
  const std::size_t offset = (used + alignment - 1) / alignment * alignment;
  static_bytes += bytes;
  most_static = std::max(most_static, static_bytes);
  const Limits& limits = config().limits;
  if (static_bytes > limits.static_shared)
    fail("%zu bytes of HAZE_SHARED variables; at most %zu", static_bytes, limits.static_shared);
  if (static_bytes + dynamic > limits.shared)
    fail("%zu bytes of shared memory; at most %zu", static_bytes + dynamic, limits.shared);
  variables.push_back({key, offset});
  used = (offset + bytes + kRedZone + 15) / 16 * 16;
  HAZE_UNPOISON(arena() + offset, bytes);
  std::memset(arena() + offset, 0xff, bytes);
  return arena() + offset;
}

}  // namespace haze::simt
