// SPDX-License-Identifier: MIT
// timer.h — how long work on a stream takes: the CPU's clock, or events on the GPU.
#pragma once
#include <functional>

#include "kernels/base/stream.h"

namespace haze::kernels {

/// Milliseconds from the first to the last of `times` calls of `work`, all already warm. On CUDA
/// the calls are captured as one graph, which runs once untimed and is launched again while the
/// device is still busy with that, so that the host's part in launching is not measured; `work` must
/// be capturable (graph.h). Throws RunError when there is no memory for four times the L2 cache.
template <class S>
double time_milliseconds(S stream, int times, const std::function<void()>& work);

/// Times single calls that find nothing of theirs in the caches, as in a training step, whose
/// tensors are larger than any cache: before each call zeros are written to other memory, four
/// times the size of the L2 cache, or 128 MiB on the CPU. On CUDA the call is launched while that
/// is still being written, so that the time between two events around it holds no launch from the
/// host unless launching takes longer. An event costs about as much as the smallest kernels: of
/// those, time_milliseconds says more.
template <class S>
class ColdTimer {
 public:
  explicit ColdTimer(S stream);
  ~ColdTimer();
  ColdTimer(const ColdTimer&) = delete;
  ColdTimer& operator=(const ColdTimer&) = delete;
  /// Milliseconds of one call of `work`, which has run before.
  double milliseconds(const std::function<void()>& work);

 private:
  S stream_;
  std::size_t bytes_;
  void* elsewhere_;
};

/// Rates that this device reaches at best, measured in the same way as kernels are: bytes per
/// second of a copy (read plus written) of 256 MiB, or 16 MiB under the emulator, and bf16
/// multiply-adds per second times two of a matrix unit that only multiplies; 0 where there is none.
struct Roof {
  double copy_bytes_per_s = 0, matrix_flops = 0;
};
template <class S>
Roof measure_roof(S stream);

/// What both ways of timing say of a kernel that does nothing, and of one that takes about a
/// millisecond and touches no memory, for which they must agree: milliseconds of a call, the median
/// of five. `hot` is of eight calls, which one by one take as long.
struct TimerCheck {
  struct Said {
    double hot, cold;
  };
  Said empty, lengthy;
};
TimerCheck check_timers(CudaStream stream);

}  // namespace haze::kernels
