// SPDX-License-Identifier: MIT
// memory.cu — CUDA backend: device memory, and copies in stream order.
//
// Of a copy from pageable memory CUDA says only that it "might be synchronous with respect to host"
// ("API synchronization behavior"): where the GPU reads such memory by itself, the source has to
// stay until the copy is done. Few bytes therefore travel by a ring of page-locked slots, each of
// which is filled again only when an event says that it was sent; many are waited for.
#include <array>
#include <cstring>
#include <memory>
#include <mutex>

#include "kernels/cuda/runtime_api.h"
#include "kernels/runtime/memory.h"

#if defined(__SANITIZE_ADDRESS__)  // then the device is the emulated one
#include <sanitizer/asan_interface.h>

#include "kernels/simt/emulator/stream_queue.h"
#endif

namespace haze::kernels {
namespace {

/// Per process, as the device is (open_cuda). It lives as long as the process: at its end the run
/// time may be gone before any destructor.
class Ring {
 public:
  static constexpr std::size_t kSlot = 4096;  // bytes: a time or an index for 1024 images

  static Ring& of_process() {
    static Ring* const one = new Ring;
    return *one;
  }
  void send(CudaStream s, void* device, const void* host, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const cudaEvent_t sent = sent_[next_].handle;
    std::byte* const slot = memory_.get() + next_ * kSlot;
    next_ = (next_ + 1) % sent_.size();
    HAZE_CUDA_CHECK(cudaEventSynchronize(sent));
    std::memcpy(slot, host, bytes);
    HAZE_CUDA_CHECK(cudaMemcpyAsync(device, slot, bytes, cudaMemcpyHostToDevice, handle_of(s)));
    HAZE_CUDA_CHECK(cudaEventRecord(sent, handle_of(s)));
  }

 private:
  struct Unlock {
    void operator()(std::byte* p) const { let_go(cudaFreeHost(p)); }
  };
  Ring() {
    void* p = nullptr;
    HAZE_CUDA_CHECK(cudaMallocHost(&p, sent_.size() * kSlot));
    memory_.reset(static_cast<std::byte*>(p));
  }
  std::mutex mutex_;
  std::array<CudaEvent, 16> sent_;
  std::unique_ptr<std::byte, Unlock> memory_;
  std::size_t next_ = 0;
};

constexpr unsigned kFillThreads = 256;

__global__ void __launch_bounds__(kFillThreads) fill_with(float* p, unsigned n, float value) {
  const unsigned i = blockIdx.x * kFillThreads + threadIdx.x;
  if (i < n) p[i] = value;
}

/// A graph would read the host's memory again at each launch, long after it has changed.
void refuse_capture(CudaStream s, std::size_t bytes) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  HAZE_CUDA_CHECK(cudaStreamIsCapturing(handle_of(s), &status));
  HAZE_CHECK(status == cudaStreamCaptureStatusNone, "a copy of ", bytes,
             " bytes from the host is captured");
}

}  // namespace

template <>
void* allocate(CudaStream, std::size_t bytes) {
  void* p = nullptr;
  const cudaError_t error = cudaMalloc(&p, bytes);
  if (error == cudaErrorMemoryAllocation) {
    let_go(error);  // it is reported here
    std::size_t free = 0, total = 0;
    let_go(cudaMemGetInfo(&free, &total));
    throw RunError(cat("out of GPU memory: asked for ", bytes >> 20, " MiB, ", free >> 20, " of ",
                       total >> 20,
                       " MiB are free; lower train.batch_size, or raise train.accumulate"));
  }
  check_cuda(error, "cudaMalloc", std::source_location::current());
  return p;
}
template <>
void release(CudaStream, void* p) noexcept {
  let_go(cudaFree(p));  // destructors call this
}
template <>
void zero(CudaStream s, void* p, std::size_t bytes) {
  HAZE_CUDA_CHECK(cudaMemsetAsync(p, 0, bytes, handle_of(s)));
}
template <>
void fill(CudaStream s, float* p, std::size_t n, float value) {
  HAZE_CHECK(n < std::size_t(1) << 31, n, " values");
  if (n == 0) return;
  HAZE_LAUNCH(fill_with, s, unsigned((n + kFillThreads - 1) / kFillThreads), kFillThreads, 0, p,
              unsigned(n), value);
}
template <>
void copy_in(CudaStream s, void* device, const void* host, std::size_t bytes) {
  if (bytes == 0) return;
  refuse_capture(s, bytes);
  if (bytes <= Ring::kSlot) return Ring::of_process().send(s, device, host, bytes);
  HAZE_CUDA_CHECK(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, handle_of(s)));
  HAZE_CUDA_CHECK(cudaStreamSynchronize(handle_of(s)));
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
