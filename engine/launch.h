// SPDX-License-Identifier: MIT
// launch.h — the switch between backends: where all of the engine's work meets its stream.
#pragma once
#include <source_location>
#include <type_traits>
#include <utility>
#include <variant>

#include "kernels/base/plan.h"
#include "kernels/base/stream.h"

namespace haze::engine {

/// Runs f once with the concrete stream type. What returns nothing is work, and of a stream that
/// plans it is only noted down (plan.h): so f leaves it to others to take memory. What returns a
/// value is a question, of a kernel's scratch say, and is answered.
template <class F>
auto launch(const Stream& stream, F&& f,
            const std::source_location& from = std::source_location::current()) {
  if constexpr (std::is_void_v<decltype(std::visit(f, stream))>) {
    if (Plan* const plan = plan_of(stream)) {
      plan->launches.push_back(from);
      return;
    }
  }
  return std::visit(std::forward<F>(f), stream);
}

/// Uninitialised memory of the stream's device, 256-byte aligned; of a stream that plans, an
/// address. RunError with the size when there is none.
void* take_memory(const Stream& stream, std::size_t bytes);
void give_memory(const Stream& stream, void* p) noexcept;

}  // namespace haze::engine
