// SPDX-License-Identifier: MIT
// graph.h — work of a CUDA stream captured once as a CUDA graph and replayed with one call.
#pragma once
#include <functional>

#include "kernels/base/stream.h"

namespace haze::kernels {

class CapturedGraph {
 public:
  CapturedGraph() = default;
  ~CapturedGraph() { clear(); }
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;

  /// Captures what `enqueue` puts on the stream; none of it runs. It may not synchronise, nor ask
  /// the system for memory. Replaces what was captured before.
  void capture(CudaStream stream, const std::function<void()>& enqueue);
  /// Puts the captured work on the stream: same kernels, same addresses.
  void launch(CudaStream stream) const;
  void clear() noexcept;
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  void* handle_ = nullptr;  // cudaGraphExec_t
};

}  // namespace haze::kernels
