// SPDX-License-Identifier: MIT
// no_cuda.cpp — what builds without CUDA have in the place of its runtime: opening a device says
// that there is none, and without a CudaStream nothing else is ever called.
#include "kernels/base/check.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/graph.h"
#include "kernels/runtime/prefetch.h"

namespace haze::kernels {
namespace {

[[noreturn]] void no_cuda(const char* what) {
  throw DeviceError(cat(what, ": no CUDA in this build"));
}

}  // namespace

Stream open_cuda(int index) {
  throw DeviceError(cat("--device: cuda:", index,
                        "; this haze was built for the CPU alone; use --device cpu, or build the "
                        "preset cuda or simt"));
}
CudaDeviceInfo cuda_device_info() { no_cuda("cuda_device_info"); }
SharedMemoryUse most_shared_memory() { no_cuda("most_shared_memory"); }
void synchronise(CudaStream) { no_cuda("synchronise"); }

void CapturedGraph::capture(CudaStream, const std::function<void()>&) { no_cuda("capture"); }
void CapturedGraph::launch(CudaStream) const { no_cuda("launch"); }
void CapturedGraph::clear() noexcept {}

struct Prefetch::Parts {};
Prefetch::Prefetch(CudaStream, std::size_t) { no_cuda("Prefetch"); }
Prefetch::~Prefetch() = default;
std::byte* Prefetch::buffer() { no_cuda("Prefetch::buffer"); }
void Prefetch::send() { no_cuda("Prefetch::send"); }
void Prefetch::take(void*) { no_cuda("Prefetch::take"); }

}  // namespace haze::kernels
