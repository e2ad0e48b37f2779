// SPDX-License-Identifier: MIT
// context.h — what a run shares: where it computes, in which type, from which memory.
#pragma once
#include <utility>
#include <variant>

#include "engine/arena.h"
#include "kernels/base/dtype.h"
#include "kernels/base/stream.h"

namespace haze::engine {

struct Context {
  explicit Context(Stream s, DType type = DType::f32) : stream(s), activations(type), arena(s) {}
  Stream stream;
  DType activations;
  bool fusion = true;         // false: fused ops run their composition (--fusion off)
  bool graphs = true;         // false: CUDA work is never captured as a graph (replay.h)
  bool resident_data = true;  // false: a data set never lies on the device as a whole
  Arena arena;

  /// Runs f once with the concrete stream type: the switch between backends.
  template <class F>
  auto run(F&& f) const {
    return std::visit(std::forward<F>(f), stream);
  }
  /// For what needs the stream alone.
  operator const Stream&() const { return stream; }
};

}  // namespace haze::engine
