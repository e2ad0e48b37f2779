// memory.cpp — CPU backend: the heap.
#include "kernels/common/memory.h"

#include <cstdlib>
#include <cstring>

#include "kernels/common/check.h"
#include "kernels/common/stream.h"

namespace haze::kernels {

template <>
void* allocate(CpuStream, std::size_t bytes) {
  constexpr std::size_t kAlign = 256;
  void* p = std::aligned_alloc(kAlign, (bytes + kAlign - 1) / kAlign * kAlign);
  if (!p) throw RunError(cat("out of memory: asked for ", bytes >> 20, " MiB; lower the batch size"));
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

}  // namespace haze::kernels
