// SPDX-License-Identifier: MIT
// prefetch.h — batches gathered on the host and sent to the device while it computes.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "engine/context.h"
#include "engine/tensor.h"
#include "kernels/runtime/prefetch.h"

namespace haze::engine {

/// Where work is planned, only the device's memory is counted, and there is no buffer. On CUDA two buffers of page-locked memory and a stream of its own (kernels/runtime/prefetch.h);
/// on the CPU, which needs none of it, one buffer.
class Prefetch {
 public:
  /// For batches of `bytes` bytes that the context's stream consumes.
  Prefetch(Context& context, std::size_t bytes);

  /// Memory for the next batch, uninitialised. Waits until what it last held has been sent.
  std::span<std::byte> buffer();
  /// Sends what buffer() was filled with, beside the stream's own work.
  void send();
  /// Overwrites `to`, of `bytes` bytes, with the batch that was last sent, in the stream's order.
  /// Not inside of a Replay.
  void take(const Tensor& to);

 private:
  std::size_t bytes_;
  Tensor planned_;
  std::vector<std::byte> here_;
  std::optional<kernels::Prefetch> cuda_;
};

}  // namespace haze::engine
