// SPDX-License-Identifier: MIT
#include "kernels/cuda/runtime_api.h"
#include "kernels/runtime/graph.h"

namespace haze::kernels {

void CapturedGraph::capture(CudaStream stream, const std::function<void()>& enqueue) {
  clear();
  const cudaStream_t s = handle_of(stream);
  HAZE_CUDA_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    enqueue();
  } catch (...) {  // leave the stream usable
    let_go(cudaStreamEndCapture(s, &graph));
    if (graph) let_go(cudaGraphDestroy(graph));
    throw;
  }
  HAZE_CUDA_CHECK(cudaStreamEndCapture(s, &graph));
  cudaGraphExec_t exec = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&exec, graph, 0);
  let_go(cudaGraphDestroy(graph));
  check_cuda(error, "cudaGraphInstantiate", std::source_location::current());
  handle_ = exec;
}

void CapturedGraph::launch(CudaStream stream) const {
  HAZE_CHECK(handle_, "nothing was captured");
  HAZE_CUDA_CHECK(cudaGraphLaunch(static_cast<cudaGraphExec_t>(handle_), handle_of(stream)));
}

void CapturedGraph::clear() noexcept {
  if (handle_) let_go(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(handle_)));
  handle_ = nullptr;
}

}  // namespace haze::kernels
