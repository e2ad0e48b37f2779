// SPDX-License-Identifier: MIT
#include "kernels/cuda/runtime_api.h"
#include "kernels/runtime/memory.h"
#include "kernels/runtime/prefetch.h"

namespace haze::kernels {
namespace {

using Memory = std::shared_ptr<void>;

Memory page_locked(std::size_t bytes) {
  void* p = nullptr;
  const cudaError_t error = cudaMallocHost(&p, bytes);
  if (error == cudaErrorMemoryAllocation) {
    let_go(error);  // it is reported here
    throw RunError(cat("out of page-locked memory: asked for ", bytes >> 20,
                       " MiB of the host's; lower train.batch_size"));
  }
  check_cuda(error, "cudaMallocHost", std::source_location::current());
  return {p, [](void* q) { let_go(cudaFreeHost(q)); }};
}

Memory on_device(CudaStream stream, std::size_t bytes) {
  return {allocate(stream, bytes), [stream](void* q) { release(stream, q); }};
}

struct OwnStream {
  OwnStream() { HAZE_CUDA_CHECK(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking)); }
  ~OwnStream() {
    let_go(cudaStreamSynchronize(handle));  // memory may go as soon as this has returned
    let_go(cudaStreamDestroy(handle));
  }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  cudaStream_t handle = nullptr;
};

}  // namespace

struct Prefetch::Parts {
  Parts(CudaStream stream, std::size_t bytes)
      : stream(stream),
        bytes(bytes),
        buffers{page_locked(bytes), page_locked(bytes)},
        stage(on_device(stream, bytes)) {}
  CudaStream stream;
  std::size_t bytes;
  Memory buffers[2], stage;
  CudaEvent sent[2], taken;  // of each buffer; of the stage
  int next = 0;              // the buffer to fill
  OwnStream copies;          // last, so that it is the first to be destroyed
};

Prefetch::Prefetch(CudaStream stream, std::size_t bytes)
    : parts_(std::make_unique<Parts>(stream, bytes)) {}
Prefetch::~Prefetch() = default;

std::byte* Prefetch::buffer() {
  HAZE_CUDA_CHECK(cudaEventSynchronize(parts_->sent[parts_->next].handle));
  return static_cast<std::byte*>(parts_->buffers[parts_->next].get());
}

void Prefetch::send() {
  Parts& p = *parts_;
  const cudaStream_t copies = p.copies.handle;
  HAZE_CUDA_CHECK(cudaStreamWaitEvent(copies, p.taken.handle, 0));
  HAZE_CUDA_CHECK(cudaMemcpyAsync(p.stage.get(), p.buffers[p.next].get(), p.bytes,
                                  cudaMemcpyHostToDevice, copies));
  HAZE_CUDA_CHECK(cudaEventRecord(p.sent[p.next].handle, copies));
  p.next = 1 - p.next;
}

void Prefetch::take(void* to) {
  Parts& p = *parts_;
  HAZE_CUDA_CHECK(cudaStreamWaitEvent(handle_of(p.stream), p.sent[1 - p.next].handle, 0));
  copy(p.stream, to, p.stage.get(), p.bytes);
  HAZE_CUDA_CHECK(cudaEventRecord(p.taken.handle, handle_of(p.stream)));
}

}  // namespace haze::kernels
