// SPDX-License-Identifier: MIT
#include "engine/device.h"

#include <algorithm>

#include "kernels/base/plan.h"
#include "kernels/conv2d/conv2d.h"

namespace haze::engine {

Stream open_cuda(int index) { return kernels::open_cuda(index); }

std::optional<CudaDeviceInfo> cuda_info(const Stream& stream) {
  if (!cuda_of(stream)) return std::nullopt;
  return kernels::cuda_device_info();
}

std::optional<SharedMemoryUse> most_shared_memory(const Stream& stream) {
  if (!cuda_of(stream)) return std::nullopt;
  return kernels::most_shared_memory();
}

std::size_t free_device_bytes(const Stream& stream) {
  const auto cuda = cuda_info(stream);
  std::size_t free = cuda ? cuda->free_bytes : SIZE_MAX;
  if (const Plan* const plan = plan_of(stream)) free -= std::min(free, plan->live_bytes());
  return free;
}

bool depends_on_threads(const Stream& stream, DType activations) {
  return std::visit([&](auto s) { return kernels::conv2d_depends_on_threads(s, activations); },
                    stream);
}

void synchronise(const Stream& stream) {
  if (const CudaStream* cuda = cuda_of(stream)) kernels::synchronise(*cuda);
}

}  // namespace haze::engine
