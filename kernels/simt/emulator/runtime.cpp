// SPDX-License-Identifier: MIT
// runtime.cpp — device, memory and copies of the emulated run time. Streams: streams.cpp.
#include "kernels/simt/emulator/runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "kernels/simt/emulator/block.h"
#include "kernels/simt/emulator/device_memory.h"
#include "kernels/simt/emulator/emulator.h"
#include "kernels/simt/emulator/observer.h"
#include "kernels/simt/emulator/runtime_call.h"
#include "kernels/simt/emulator/stream_queue.h"

using namespace haze::simt;

namespace {

std::map<const char*, std::size_t>& pinned() {
  static auto* const all = new std::map<const char*, std::size_t>;
  return *all;
}
bool is_pinned(const void* p) {
  auto next = pinned().upper_bound(static_cast<const char*>(p));
  if (next == pinned().begin()) return false;
  --next;
  return static_cast<const char*>(p) < next->first + next->second;
}

void host_wrote(void* p, std::size_t bytes) {
  if (observer()) observer()->host_wrote(p, bytes);
}

}  // namespace

const char* cudaGetErrorName(cudaError_t e) {
  switch (e) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorInvalidDeviceFunction:
      return "cudaErrorInvalidDeviceFunction";
    case cudaErrorNoKernelImageForDevice:
      return "cudaErrorNoKernelImageForDevice";
    case cudaErrorInvalidPtx:
      return "cudaErrorInvalidPtx";
    case cudaErrorJitCompilerNotFound:
      return "cudaErrorJitCompilerNotFound";
    case cudaErrorUnsupportedPtxVersion:
      return "cudaErrorUnsupportedPtxVersion";
    case cudaErrorJitCompilationDisabled:
      return "cudaErrorJitCompilationDisabled";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorLaunchTimeout:
      return "cudaErrorLaunchTimeout";
    case cudaErrorHardwareStackError:
      return "cudaErrorHardwareStackError";
    case cudaErrorIllegalInstruction:
      return "cudaErrorIllegalInstruction";
    case cudaErrorMisalignedAddress:
      return "cudaErrorMisalignedAddress";
    case cudaErrorInvalidAddressSpace:
      return "cudaErrorInvalidAddressSpace";
    case cudaErrorInvalidPc:
      return "cudaErrorInvalidPc";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
  }
  return "unknown error";
}
const char* cudaGetErrorString(cudaError_t e) { return cudaGetErrorName(e); }

cudaError_t cudaDriverGetVersion(int* version) {
  return runtime_call(__func__, [&] {
    *version = 13000;
    return cudaSuccess;
  });
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  return runtime_call(__func__, [&] {
    *version = 13000;
    return cudaSuccess;
  });
}
cudaError_t cudaGetDeviceCount(int* count) {
  return runtime_call(__func__, [&] {
    *count = 1;
    return cudaSuccess;
  });
}
cudaError_t cudaSetDevice(int device) {
  return runtime_call(__func__, [&] { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; });
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  return runtime_call(__func__, [&] {
    if (device != 0) return cudaErrorInvalidDevice;
    *p = {};
    std::snprintf(p->name, sizeof p->name, "host SIMT emulator");
    p->totalGlobalMem = device_capacity();
    p->sharedMemPerBlockOptin = config().limits.shared;
    p->major = config().capability / 10;
    p->minor = config().capability % 10;
    p->multiProcessorCount = 4;  // small, so that persistent kernels take several turns
    p->l2CacheSize = 1 << 20;
    return cudaSuccess;
  });
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return runtime_call(__func__, [&] {
    *total = device_capacity();
    *free = device_capacity() - device_bytes_in_use();
    return cudaSuccess;
  });
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  return runtime_call(__func__, [&] {
    *attributes = {.sharedSizeBytes = static_shared_of(kernel)};
    return cudaSuccess;
  });
}
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int value) {
  return runtime_call(__func__, [&] {
    return value >= 0 && std::size_t(value) <= config().limits.shared ? cudaSuccess
                                                                      : cudaErrorInvalidValue;
  });
}

cudaError_t cudaMalloc(void** p, std::size_t bytes) {
  return runtime_call(__func__, [&] {
    if (capturing()) return cudaErrorStreamCaptureUnsupported;
    *p = device_allocate(bytes);
    return *p ? cudaSuccess : cudaErrorMemoryAllocation;
  });
}
cudaError_t cudaFree(void* p) {  // waits for the device, as CUDA's does
  return runtime_call(__func__, [&] {
    if (!p) return cudaSuccess;
    if (const cudaError_t e = cudaDeviceSynchronize(); e != cudaSuccess) return e;
    return device_free(p) ? cudaSuccess : cudaErrorInvalidValue;
  });
}
cudaError_t cudaMallocHost(void** p, std::size_t bytes) {
  return runtime_call(__func__, [&] {
    if (capturing()) return cudaErrorStreamCaptureUnsupported;
    *p = std::malloc(bytes);
    if (!*p) return cudaErrorMemoryAllocation;
    pinned().emplace(static_cast<char*>(*p), bytes);
    return cudaSuccess;
  });
}
cudaError_t cudaFreeHost(void* p) {
  return runtime_call(__func__, [&] {
    if (p && pinned().erase(static_cast<char*>(p)) == 0) return cudaErrorInvalidValue;
    std::free(p);
    return cudaSuccess;
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  return runtime_call(__func__, [&] {
    check_device_range(to, bytes, "cudaMemsetAsync");
    return enqueue(stream, [=] {
      if (config().rehearsal) return;
      const DeviceMemoryOpen open;
      std::memset(to, value, bytes);
      host_wrote(to, bytes);
    });
  });
}

namespace {

cudaError_t copy_later(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                       cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind == cudaMemcpyDefault || to_device != is_device(to) || from_device != is_device(from))
    return cudaErrorInvalidValue;
  if (to_device) check_device_range(to, bytes, "cudaMemcpyAsync to");
  if (from_device) check_device_range(from, bytes, "cudaMemcpyAsync from");
  const bool pageable = (!to_device && !is_pinned(to)) || (!from_device && !is_pinned(from));
  if (pageable && captures(stream))
    throw Error(
        haze::cat("cudaMemcpyAsync of ", bytes,
                  " bytes of pageable host memory is captured: each launch would use it again"));
  const cudaError_t e = enqueue(stream, [=] {
    if (config().rehearsal) {
      if (!to_device) std::memset(to, 0, bytes);
      return;
    }
    const DeviceMemoryOpen open;
    std::memcpy(to, from, bytes);
    if (to_device) host_wrote(to, bytes);
  });
  if (e != cudaSuccess) return e;
  // To pageable host memory: blocks until it is done.
  return from_device && pageable ? cudaStreamSynchronize(stream) : cudaSuccess;
}

}  // namespace

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return runtime_call(__func__, [&] { return copy_later(to, from, bytes, kind, stream); });
}
