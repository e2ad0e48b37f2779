// SPDX-License-Identifier: MIT
#include "engine/replay.h"

#include "kernels/base/check.h"

namespace haze::engine {

// The first run finds the arena's size, the second is the first at its final addresses.
constexpr int kEagerRuns = 2;

void Replay::run(Context& context, const std::function<void()>& work) {
  const CudaStream* stream = cuda_of(context);
  if (!stream || stream->plan || !context.graphs) return work();
  const Arena& arena = context.arena;
  if (arena.system_allocations() != allocations_ || arena.live_bytes() != live_) {
    reset();
    allocations_ = arena.system_allocations();
    live_ = arena.live_bytes();
  }
  if (graph_) return graph_.launch(*stream);
  if (eager_runs_++ < kEagerRuns) return work();
  graph_.capture(*stream, work);
  HAZE_CHECK(arena.system_allocations() == allocations_ && arena.live_bytes() == live_,
             "captured work must leave the arena as it found it: ", arena.live_bytes(), " of ",
             live_, " bytes live");
  graph_.launch(*stream);
}

void Replay::reset() {
  graph_.clear();
  eager_runs_ = 0;
}

bool Replay::captured() const { return bool(graph_); }

}  // namespace haze::engine
