// SPDX-License-Identifier: MIT
// stream_queue.h — how the emulated run time puts work on a stream.
#pragma once
#include <functional>

#include "kernels/simt/emulator/runtime.h"

namespace haze::simt {

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);
/// Some stream's work is being captured: nothing may synchronise or allocate.
bool capturing();
/// This stream's is.
bool captures(cudaStream_t stream);

}  // namespace haze::simt
