// SPDX-License-Identifier: MIT
// memory.cpp — CPU backend: the heap.
#include "kernels/runtime/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sanitizer/asan_interface.h>  // whose macros do nothing in builds without it

#include "kernels/base/check.h"
#include "kernels/base/stream.h"

namespace haze::kernels {

template <>
void* allocate(CpuStream, std::size_t bytes) {
  void* p = nullptr;
  if (::posix_memalign(&p, 256, bytes) != 0)
    throw RunError(cat("out of memory: asked for ", bytes >> 20, " MiB; lower the batch size"));
  return p;
}
template <>
void release(CpuStream, void* p) noexcept {
  std::free(p);
}
template <>
void zero(CpuStream, void* p, std::size_t bytes) {
  std::memset(p, 0, bytes);
}
template <>
void fill(CpuStream, float* p, std::size_t n, float value) {
  std::fill_n(p, n, value);
}
template <>
void copy_in(CpuStream, void* device, const void* host, std::size_t bytes) {
  std::memcpy(device, host, bytes);
}
template <>
void copy_out(CpuStream, void* host, const void* device, std::size_t bytes) {
  std::memcpy(host, device, bytes);
}
template <>
void copy(CpuStream, void* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}
template <>
void forbid(CpuStream, void* p, std::size_t bytes) {
  ASAN_POISON_MEMORY_REGION(p, bytes);
}
template <>
void permit(CpuStream, void* p, std::size_t bytes) {
  ASAN_UNPOISON_MEMORY_REGION(p, bytes);
}

}  // namespace haze::kernels
