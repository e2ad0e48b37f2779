// SPDX-License-Identifier: MIT
// device.h — the devices of this build and machine: opening one, what it is, waiting for it.
#pragma once
#include <cstddef>
#include <optional>

#include "kernels/base/dtype.h"
#include "kernels/base/stream.h"
#include "kernels/runtime/device.h"

namespace haze::engine {

using kernels::CudaDeviceInfo;

/// Makes CUDA device `index` the current one and returns a new stream on it, which lives as long as
/// the program. Throws DeviceError when this build has no CUDA, when there is no such device, when
/// it is older than sm_80, or when the driver is too old for this build.
Stream open_cuda(int index);
/// What the current CUDA device is and has free; nothing for a stream of the CPU.
std::optional<CudaDeviceInfo> cuda_info(const Stream& stream);
/// The most shared memory that a launch of this process asked for; nothing for a stream of the CPU.
using kernels::SharedMemoryUse;
std::optional<SharedMemoryUse> most_shared_memory(const Stream& stream);
/// Bytes that allocations may still take, planned ones counted; on the CPU, where nothing need be copied, all there are.
std::size_t free_device_bytes(const Stream& stream);
/// Whether a training step's bits depend on the number of CPU threads, as in bf16 where oneDNN has
/// instructions for it: it adds up gradients of weights by threads.
bool depends_on_threads(const Stream& stream, DType activations);
/// Waits for all work of the stream.
void synchronise(const Stream& stream);

}  // namespace haze::engine
