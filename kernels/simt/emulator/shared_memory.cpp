// SPDX-License-Identifier: MIT
// shared_memory.cpp — the block's shared memory: one arena, dynamic part first, variables after it
// with red zones between, all filled with NaN bits before each block.
#include <algorithm>
#include <cstdlib>
#include <cstring>

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
  used = 0;
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
