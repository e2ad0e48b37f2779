// SPDX-License-Identifier: MIT
// device.h — finding and opening a CUDA device.
#pragma once
#include <cstddef>
#include <string>

#include "kernels/base/stream.h"

namespace haze::kernels {

struct CudaDeviceInfo {
  std::string name;
  int major, minor;  // compute capability
  int multiprocessors;
  std::size_t memory_bytes, free_bytes, l2_bytes;
  int driver, runtime;  // 1000·major + 10·minor
  bool emulated;        // the host SIMT emulator: right results, no speed
};

/// Makes device `index` the current one and returns a new stream on it, which lives as long as the
/// program. Throws DeviceError when there is no such device, when it is older than sm_80 or this
/// build holds no code for it, or when the driver is too old for this build or this build has no
/// CUDA (no_cuda.cpp).
Stream open_cuda(int index);

/// Of the current device.
CudaDeviceInfo cuda_device_info();

/// What the launch of this process that asked for most dynamic shared memory asked for, with the
/// kernel's static part, and the most that the current device gives a block. Without such a launch
/// 0 bytes of no kernel.
struct SharedMemoryUse {
  std::string kernel;
  std::size_t bytes, limit;
};
SharedMemoryUse most_shared_memory();

/// Waits for all work of the stream.
void synchronise(CudaStream stream);

}  // namespace haze::kernels
