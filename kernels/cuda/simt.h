// SPDX-License-Identifier: MIT
// simt.h — the one header that CUDA kernels (.cu files) include to be CUDA kernels.
//
// Compiled by nvcc it is a thin layer over the CUDA runtime. Compiled by a host compiler it
// declares the same names for the emulator (kernels/simt/emulator), which runs the kernels on the
// CPU, one fiber per thread. Four rules keep one source valid for both:
//   - a kernel is launched with HAZE_LAUNCH, never <<<>>>
//   - shared memory is declared with HAZE_SHARED and HAZE_DYNAMIC_SHARED, never __shared__
//   - inline PTX lives in ptx.h, and each wrapper there has a host twin of the same meaning
//   - what kernels call is HAZE_DEVICE: inlined, and the same word for a function of a namespace, a
//     member and a static member; floats that travel in vectors use vec.h
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/base/check.h"
#include "kernels/base/stream.h"

#if defined(__CUDACC__)

#include <cuda_runtime.h>

#define HAZE_DEVICE __device__ __forceinline__

namespace haze::simt {

template <class T>
struct Type {
  using type = T;
};

[[noreturn]] inline void launch_failed(const char* kernel, cudaError_t error) {
  throw RunError(
      cat("launch of ", kernel, ": ", cudaGetErrorName(error), ": ", cudaGetErrorString(error)));
}

/// Arguments are converted to the kernel's parameter types, as in a call.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), CudaStream stream, dim3 grid, dim3 block,
            std::size_t dynamic_shared, A&&... arguments) {
  cudaError_t error = cudaSuccess;
  if (dynamic_shared > 48 * 1024)  // more than this is given only to a kernel that asked
    error = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, int(dynamic_shared));
  if (error != cudaSuccess) launch_failed(name, error);
  kernel<<<grid, block, dynamic_shared, static_cast<cudaStream_t>(stream.handle)>>>(
      static_cast<P>(arguments)...);
  error = cudaGetLastError();
  if (error != cudaSuccess) launch_failed(name, error);
}

}  // namespace haze::simt

/// HAZE_SHARED(float[8][33], tile): a shared array of the block.
#define HAZE_SHARED(T, name) __shared__ typename ::haze::simt::Type<T>::type name
/// HAZE_DYNAMIC_SHARED(bf16, stage): the launch's dynamic shared memory, 128-byte aligned.
#define HAZE_DYNAMIC_SHARED(T, name)                                     \
  extern __shared__ __align__(128) unsigned char haze_dynamic_shared_[]; \
  T* const name = reinterpret_cast<T*>(haze_dynamic_shared_)

#else

#include "kernels/simt/emulator/builtins.h"
#include "kernels/simt/emulator/launch.h"
#include "kernels/simt/emulator/runtime.h"

#endif

/// HAZE_LAUNCH((kernel<T, 4>), stream, grid, block, bytes of dynamic shared memory, arguments...)
#define HAZE_LAUNCH(kernel, stream, grid, block, dynamic_shared, ...) \
  ::haze::simt::launch(#kernel, kernel, stream, grid, block,          \
                       dynamic_shared __VA_OPT__(, ) __VA_ARGS__)
