// SPDX-License-Identifier: MIT
// device.h — the devices of this build and machine: opening one, what it is, waiting for it.
#pragma once
#include <cstddef>
#include <optional>

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
/// Bytes that allocations may still take, planned ones counted; on the CPU, where nothing need be copied, all there are.
std::size_t free_device_bytes(const Stream& stream);
/// Waits for all work of the stream.
void synchronise(const Stream& stream);

}  // namespace haze::engine
