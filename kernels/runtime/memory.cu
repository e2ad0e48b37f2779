// SPDX-License-Identifier: MIT
// memory.cu — CUDA backend: device memory, and copies in stream order.
#include "kernels/cuda/runtime_api.h"
#include "kernels/runtime/memory.h"

#if defined(__SANITIZE_ADDRESS__)  // then the device is the emulated one
#include <sanitizer/asan_interface.h>

#include "kernels/simt/emulator/stream_queue.h"
#endif

namespace haze::kernels {

template <>
void* allocate(CudaStream, std::size_t bytes) {
  void* p = nullptr;
  const cudaError_t error = cudaMalloc(&p, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it is reported here
    std::size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw RunError(cat("out of GPU memory: asked for ", bytes >> 20, " MiB, ", free >> 20, " of ",
                       total >> 20,
                       " MiB are free; lower train.batch_size, or raise train.accumulate"));
  }
  HAZE_CUDA_CHECK(error);
  return p;
}
template <>
void release(CudaStream, void* p) noexcept {
  cudaFree(p);  // destructors call this: an error here has shown elsewhere already
}
template <>
void zero(CudaStream s, void* p, std::size_t bytes) {
  HAZE_CUDA_CHECK(cudaMemsetAsync(p, 0, bytes, handle_of(s)));
}
template <>
void copy_in(CudaStream s, void* device, const void* host, std::size_t bytes) {
  HAZE_CUDA_CHECK(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, handle_of(s)));
}
template <>
void copy_out(CudaStream s, void* host, const void* device, std::size_t bytes) {
  HAZE_CUDA_CHECK(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, handle_of(s)));
  HAZE_CUDA_CHECK(cudaStreamSynchronize(handle_of(s)));
}
template <>
void copy(CudaStream s, void* to, const void* from, std::size_t bytes) {
  HAZE_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, handle_of(s)));
}

#if defined(__SANITIZE_ADDRESS__)
// As work of the stream, so that it is deferred, captured and replayed with the kernels between.
template <>
void forbid(CudaStream s, void* p, std::size_t bytes) {
  HAZE_CUDA_CHECK(simt::enqueue(handle_of(s), [=] { ASAN_POISON_MEMORY_REGION(p, bytes); }));
}
template <>
void permit(CudaStream s, void* p, std::size_t bytes) {
  HAZE_CUDA_CHECK(simt::enqueue(handle_of(s), [=] { ASAN_UNPOISON_MEMORY_REGION(p, bytes); }));
}
#else
template <>
void forbid(CudaStream, void*, std::size_t) {}
template <>
void permit(CudaStream, void*, std::size_t) {}
#endif

}  // namespace haze::kernels
