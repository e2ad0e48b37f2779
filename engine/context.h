// SPDX-License-Identifier: MIT
// context.h — what a run shares: where it computes, in which type, from which memory.
#pragma once
#include <source_location>
#include <utility>

#include "engine/arena.h"
#include "engine/debugging.h"
#include "engine/launch.h"
#include "kernels/base/dtype.h"
#include "kernels/base/stream.h"

namespace haze::engine {

/// Of a stream that plans (plan.h), it computes nothing and its tensors have no memory: what a step
/// would take and launch is then in the plan.
struct Context {
  explicit Context(Stream s, DType type = DType::f32) : Context(s, type, debugging()) {}
  Stream stream;
  DType activations;
  bool fusion = true;  // false: fused ops run their composition (--fusion off)
  bool graphs;         // false: CUDA work is never captured as a graph (replay.h)
  bool resident_data;  // false: a data set never lies on the device as a whole
  Arena arena;

  /// launch() on the context's stream.
  template <class F>
  auto run(F&& f, const std::source_location& from = std::source_location::current()) const {
    return launch(stream, std::forward<F>(f), from);
  }
  /// For what needs the stream alone.
  operator const Stream&() const { return stream; }

 private:
  Context(Stream s, DType type, const Debugging& d)
      : stream(s),
        activations(type),
        graphs(d.graphs),
        resident_data(d.resident_data),
        arena(s, d.arena ? Arena::Memory::blocks : Arena::Memory::separate) {}
};

}  // namespace haze::engine
