// timer.h — how long work on a stream takes: the CPU's clock, or events on the GPU.
#pragma once
#include <functional>

#include "kernels/common/stream.h"

namespace haze::kernels {

/// Milliseconds from the first to the last of `times` calls of `work`, all already warm. On CUDA
/// the calls are captured as one graph first, so that the host's part in launching is not measured;
/// `work` must be capturable (graph.h).
template <class S>
double time_milliseconds(S stream, int times, const std::function<void()>& work);

/// Rates that this device reaches at best, measured in the same way as kernels are: bytes per
/// second of a copy (read plus written) of 256 MiB, or 16 MiB under the emulator, and bf16
/// multiply-adds per second times two of a matrix unit that only multiplies; 0 where there is none.
struct Roof {
  double copy_bytes_per_s = 0, matrix_flops = 0;
};
template <class S>
Roof measure_roof(S stream);

}  // namespace haze::kernels
