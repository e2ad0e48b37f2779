#include "engine/device.h"

#include "kernels/base/check.h"

namespace haze::engine {

Stream open_cuda([[maybe_unused]] int index) {
#if defined(HAZE_CUDA)
  return kernels::open_cuda(index);
#else
  throw DeviceError(cat("--device: cuda:", index,
                        "; this haze was built for the CPU alone; use --device cpu, or build the "
                        "preset cuda or simt"));
#endif
}

std::optional<CudaDeviceInfo> cuda_info([[maybe_unused]] const Stream& stream) {
#if defined(HAZE_CUDA)
  if (std::holds_alternative<CudaStream>(stream)) return kernels::cuda_device_info();
#endif
  return std::nullopt;
}

std::size_t free_device_bytes(const Stream& stream) {
  const auto cuda = cuda_info(stream);
  return cuda ? cuda->free_bytes : SIZE_MAX;
}

void synchronise([[maybe_unused]] const Stream& stream) {
#if defined(HAZE_CUDA)
  if (const auto* cuda = std::get_if<CudaStream>(&stream)) kernels::synchronise(*cuda);
#endif
}

}  // namespace haze::engine
