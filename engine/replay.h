// SPDX-License-Identifier: MIT
// replay.h — a piece of work that is done again and again at the same addresses: a training step, a
// sampling step. On CUDA it becomes a graph, so that a step costs the host one call.
//
// What makes that right: the arena hands out the same addresses for the same requests, and what
// changes from step to step (step, t, learning rate, random counters) is read from device memory.
#pragma once
#include <functional>

#include "engine/context.h"
#include "kernels/runtime/graph.h"

namespace haze::engine {

class Replay {
 public:
  /// Does the work. On the CPU, where it is planned, and the first times on CUDA, by calling it; then the calls are
  /// captured, and from there on replayed without calling `work`. It starts over when the arena's
  /// memory has changed or something else is live in it than at the capture. `work` must enqueue
  /// the same calls each time, free what it takes from the arena, and neither synchronise nor read
  /// host memory that changes.
  void run(Context& context, const std::function<void()>& work);
  /// Forgets what was captured: for when shapes change.
  void reset();
  bool captured() const;

 private:
  kernels::CapturedGraph graph_;
  int eager_runs_ = 0;
  std::size_t allocations_ = 0, live_ = 0;  // of the arena, when it was captured
};

}  // namespace haze::engine
