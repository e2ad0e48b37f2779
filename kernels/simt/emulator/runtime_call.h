// SPDX-License-Identifier: MIT
// runtime_call.h — calls of the emulated run time, and how a test makes one of them fail.
#pragma once
#include <cstdint>

#include "kernels/simt/emulator/runtime.h"

namespace haze::simt {

/// The n-th call of the run time from now on (1: the next) returns `error` and does nothing;
/// launches count, calls that CUDA itself makes do not, and neither do those that ask for errors.
/// Several may be pending.
void fail_call(std::uint64_t n, cudaError_t error);
/// Forgets what is pending.
void fail_no_call();
/// The call that last failed so; null if none has since fail_call.
const char* failed_call();

/// Counts a call, and makes it fail if that was asked for; at depth 1 only.
cudaError_t begin_call(const char* name);
void end_call(cudaError_t error);

/// One call: what it returns, unless it is success, is the thread's last error. `body` may throw:
/// then a kernel broke a rule.
template <class F>
cudaError_t runtime_call(const char* name, F&& body) {
  struct Depth {
    cudaError_t error;
    ~Depth() { end_call(error); }
  } depth{begin_call(name)};
  if (depth.error == cudaSuccess) depth.error = body();
  return depth.error;
}

}  // namespace haze::simt
