// SPDX-License-Identifier: MIT
// prefetch.h — batches sent to the GPU while it computes: page-locked memory, which its copy engine
// reads by itself, and a second stream, so that no kernel waits for a copy that is not its own.
//
//   host     fills buffer 0   fills buffer 1            fills buffer 0
//   copies            buffer 0 -> stage       buffer 1 -> stage
//   stream                      stage -> batch, step ...         stage -> batch, step ...
//
// Three orders have to be kept, each by an event: a buffer is filled again only when it has been
// sent, the stage is taken only when all has arrived, and it is overwritten only when it was taken.
// The copy from the stage, within the device, is there so that a captured step always reads the
// same address and that sending may begin as soon as the step has.
#pragma once
#include <cstddef>
#include <memory>

#include "kernels/base/stream.h"

namespace haze::kernels {

class Prefetch {
 public:
  /// For batches of `bytes` bytes that `stream` consumes; takes 2·bytes of page-locked memory and
  /// bytes of the device's. RunError with the size when there is none.
  Prefetch(CudaStream stream, std::size_t bytes);
  /// Waits for what is on its way.
  ~Prefetch();

  /// Host memory for the next batch, uninitialised. Waits until what it last held has been sent.
  std::byte* buffer();
  /// Sends what buffer() was filled with; it may not be written to until buffer() returns it again.
  void send();
  /// Overwrites `to` on the device with the batch that was last sent, in order of the stream. Not
  /// to be captured.
  void take(void* to);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace haze::kernels
