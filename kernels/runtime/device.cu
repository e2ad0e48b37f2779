// SPDX-License-Identifier: MIT
#include "kernels/cuda/runtime_api.h"
#include "kernels/runtime/device.h"

namespace haze::kernels {
namespace {

std::string version(int v) { return cat(v / 1000, '.', v % 1000 / 10); }

/// All kernels are compiled for the same architectures: what is true of this one is true of them.
__global__ void any_kernel() {}

/// Asked for before the first launch, which would fail in the middle of something.
void check_code(int index, const cudaDeviceProp& gpu) {
  cudaFuncAttributes attributes;
  const cudaError_t error =
      cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(any_kernel));
  switch (error) {
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidPtx:
    case cudaErrorJitCompilerNotFound:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorJitCompilationDisabled:
      throw DeviceError(cat("--device: cuda:", index, "; ", gpu.name, " has compute capability ",
                            gpu.major, '.', gpu.minor, ", this haze holds " HAZE_CUDA_CODE " (",
                            reported(error), "): build it with -DCMAKE_CUDA_ARCHITECTURES=",
                            gpu.major, gpu.minor, ", or use --device cpu"));
    default:
      check_cuda(error, "cudaFuncGetAttributes", std::source_location::current());
  }
}

}  // namespace

Stream open_cuda(int index) {
  int driver = 0, runtime = 0, devices = 0;
  let_go(cudaDriverGetVersion(&driver));  // 0 where there is none
  let_go(cudaRuntimeGetVersion(&runtime));
  const cudaError_t error = cudaGetDeviceCount(&devices);
  let_go(error);  // it is reported here
  if (error == cudaErrorInsufficientDriver && driver > 0)
    throw DeviceError(cat("--device: cuda:", index, "; the NVIDIA driver supports CUDA ",
                          version(driver), ", this haze needs ", version(runtime),
                          ": update the driver, or use --device cpu"));
  if (error == cudaErrorInsufficientDriver)
    throw DeviceError(
        cat("--device: cuda:", index, "; no NVIDIA driver was found; use --device cpu"));
  if (error != cudaSuccess || devices == 0)
    throw DeviceError(cat("--device: cuda:", index, "; no NVIDIA GPU was found (", reported(error),
                          "); use --device cpu"));
  if (index < 0 || index >= devices)
    throw DeviceError(cat("--device: cuda:", index, "; this machine has ", devices,
                          devices == 1 ? " GPU, cuda:0" : " GPUs, from cuda:0"));
  cudaDeviceProp properties;
  HAZE_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
  if (properties.major < 8)
    throw DeviceError(cat("--device: cuda:", index, "; ", properties.name,
                          " has compute capability ", properties.major, '.', properties.minor,
                          ", haze needs 8.0 (Ampere) or later; use --device cpu"));
  HAZE_CUDA_CHECK(cudaSetDevice(index));
  check_code(index, properties);
  cudaStream_t stream;
  HAZE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return CudaStream{stream};
}

CudaDeviceInfo cuda_device_info() {
  CudaDeviceInfo info{};
  int index = 0;
#if defined(__CUDACC__)
  HAZE_CUDA_CHECK(cudaGetDevice(&index));
#else
  info.emulated = true;
#endif
  cudaDeviceProp p;
  HAZE_CUDA_CHECK(cudaGetDeviceProperties(&p, index));
  HAZE_CUDA_CHECK(cudaMemGetInfo(&info.free_bytes, &info.memory_bytes));
  HAZE_CUDA_CHECK(cudaDriverGetVersion(&info.driver));
  HAZE_CUDA_CHECK(cudaRuntimeGetVersion(&info.runtime));
  info.name = p.name;
  info.major = p.major;
  info.minor = p.minor;
  info.multiprocessors = p.multiProcessorCount;
  info.l2_bytes = std::size_t(p.l2CacheSize);
  return info;
}

SharedMemoryUse most_shared_memory() {
  int index = 0;
#if defined(__CUDACC__)
  HAZE_CUDA_CHECK(cudaGetDevice(&index));
#endif
  cudaDeviceProp p;
  HAZE_CUDA_CHECK(cudaGetDeviceProperties(&p, index));
  const simt::Greediest& most = simt::greediest;
  if (!most.kernel) return {"", 0, p.sharedMemPerBlockOptin};
  cudaFuncAttributes attributes;
  HAZE_CUDA_CHECK(cudaFuncGetAttributes(&attributes, most.kernel));
  return {most.name, most.dynamic_shared + attributes.sharedSizeBytes, p.sharedMemPerBlockOptin};
}

void synchronise(CudaStream stream) { HAZE_CUDA_CHECK(cudaStreamSynchronize(handle_of(stream))); }

}  // namespace haze::kernels
