// SPDX-License-Identifier: MIT
#include "tests/model/heap.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::size_t> count{0};
}  // namespace

std::size_t haze::test::large_allocations() { return count; }

#ifndef __SANITIZE_ADDRESS__  // whose own operators check more than these
void* operator new(std::size_t bytes) {
  if (bytes >= haze::test::kLargeAllocation) ++count;
  if (void* p = std::malloc(bytes ? bytes : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif
