// SPDX-License-Identifier: MIT
// cuda.h — the one way to call the CUDA runtime from host code. Included by .cu files only.
#pragma once
#include "kernels/base/check.h"
#include "kernels/cuda/simt.h"

namespace haze {

inline void check_cuda(cudaError_t error, const char* call, const std::source_location& at) {
  if (error != cudaSuccess) [[unlikely]]
    throw RunError(cat(at.file_name(), ':', at.line(), ": ", call, ": ", reported(error)));
}

/// In a destructor, where an error can only be let go: it has shown elsewhere already, or will.
inline void let_go(cudaError_t error) noexcept {
  if (error != cudaSuccess) cudaGetLastError();
}

inline cudaStream_t handle_of(CudaStream s) { return static_cast<cudaStream_t>(s.handle); }

}  // namespace haze

/// Throws RunError with the call and CUDA's words if the call fails.
#define HAZE_CUDA_CHECK(call) ::haze::check_cuda((call), #call, std::source_location::current())

namespace haze {

/// A CUDA event. Only one that is `timed` knows when it was reached.
struct CudaEvent {
  explicit CudaEvent(bool timed = false) {
    HAZE_CUDA_CHECK(cudaEventCreateWithFlags(&handle, timed ? 0u : cudaEventDisableTiming));
  }
  ~CudaEvent() { let_go(cudaEventDestroy(handle)); }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  cudaEvent_t handle = nullptr;
};

}  // namespace haze
