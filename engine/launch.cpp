// SPDX-License-Identifier: MIT
#include "engine/launch.h"

#include "kernels/runtime/memory.h"

namespace haze::engine {

void* take_memory(const Stream& stream, std::size_t bytes) {
  if (Plan* const plan = plan_of(stream)) return plan->take(bytes);
  return std::visit([&](auto s) { return kernels::allocate(s, bytes); }, stream);
}

void give_memory(const Stream& stream, void* p) noexcept {
  if (Plan* const plan = plan_of(stream)) return plan->give(p);
  std::visit([&](auto s) { kernels::release(s, p); }, stream);
}

}  // namespace haze::engine
