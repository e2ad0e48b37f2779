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
#include <string>
#include <type_traits>
#include <utility>

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

/// Not <<<>>>, whose outcome is the thread's last error: that may be of an earlier call.
template <class... P>
cudaError_t start_values(void (*kernel)(P...), CudaStream stream, dim3 grid, dim3 block,
                         std::size_t dynamic_shared, std::type_identity_t<P>... values) {
  void* at[] = {const_cast<void*>(static_cast<const void*>(&values))..., nullptr};
  return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, at, dynamic_shared,
                          static_cast<cudaStream_t>(stream.handle));
}
template <class... P, class... A>
cudaError_t start(const char*, void (*kernel)(P...), CudaStream stream, dim3 grid, dim3 block,
                  std::size_t dynamic_shared, A&&... arguments) {
  return start_values(kernel, stream, grid, block, dynamic_shared, static_cast<P>(arguments)...);
}

/// The emulator refuses a vector at an address that is no multiple of its size; a GPU does it itself.
HAZE_DEVICE void check_vector(const void*, std::size_t) {}

}  // namespace haze::simt

/// HAZE_SHARED(float[8][33], tile): a shared array of the block, 16-byte aligned whatever its
/// elements are: cp.async, ldmatrix and vectors may be used on it.
#define HAZE_SHARED(T, name) __shared__ __align__(16) typename ::haze::simt::Type<T>::type name
/// HAZE_DYNAMIC_SHARED(bf16, stage): the launch's dynamic shared memory, 128-byte aligned.
#define HAZE_DYNAMIC_SHARED(T, name)                                     \
  extern __shared__ __align__(128) unsigned char haze_dynamic_shared_[]; \
  T* const name = reinterpret_cast<T*>(haze_dynamic_shared_)

#else

#include "kernels/simt/emulator/builtins.h"
#include "kernels/simt/emulator/launch.h"
#include "kernels/simt/emulator/runtime.h"

#endif

namespace haze {

/// The error in CUDA's words, for a message. It is no longer the thread's last error, which the
/// next that asks for it would take for its own. What a kernel did is told by whichever call comes
/// later; CUDA knows the kernel when every launch waits.
inline std::string reported(cudaError_t error) {
  cudaGetLastError();
  const char* hint = "";
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
      hint = "; an earlier kernel did this: CUDA_LAUNCH_BLOCKING=1 in the environment tells which";
    default:
      break;
  }
  return cat(cudaGetErrorName(error), ": ", cudaGetErrorString(error), hint);
}

namespace simt {

/// The launch of this process that asked for most dynamic shared memory.
struct Greediest {
  const char* name = nullptr;
  const void* kernel = nullptr;
  std::size_t dynamic_shared = 0;
};
inline Greediest greediest;

/// Arguments are converted to the kernel's parameter types, as in a call. Throws RunError with
/// kernel, shared memory and CUDA's words.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), CudaStream stream, dim3 grid, dim3 block,
            std::size_t dynamic_shared, A&&... arguments) {
  if (dynamic_shared > greediest.dynamic_shared)
    greediest = {name, reinterpret_cast<const void*>(kernel), dynamic_shared};
  cudaError_t error = cudaSuccess;
  if (dynamic_shared > 48 * 1024)  // more than this is given only to a kernel that asked
    error = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, int(dynamic_shared));
  const char* const call = error == cudaSuccess ? "cudaLaunchKernel" : "cudaFuncSetAttribute";
  if (error == cudaSuccess)
    error = start(name, kernel, stream, grid, block, dynamic_shared, std::forward<A>(arguments)...);
  if (error != cudaSuccess) [[unlikely]]
    throw RunError(cat("launch of ", name, " with ", dynamic_shared,
                       " bytes of dynamic shared memory: ", call, ": ", reported(error)));
}

}  // namespace simt
}  // namespace haze

/// HAZE_LAUNCH((kernel<T, 4>), stream, grid, block, bytes of dynamic shared memory, arguments...)
#define HAZE_LAUNCH(kernel, stream, grid, block, dynamic_shared, ...) \
  ::haze::simt::launch(#kernel, kernel, stream, grid, block,          \
                       dynamic_shared __VA_OPT__(, ) __VA_ARGS__)
