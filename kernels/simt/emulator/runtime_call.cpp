// SPDX-License-Identifier: MIT
#include "kernels/simt/emulator/runtime_call.h"

#include <map>

namespace haze::simt {
namespace {

std::uint64_t calls;
int depth;  // of calls within calls
cudaError_t last_error = cudaSuccess;
const char* failed;
std::map<std::uint64_t, cudaError_t>& pending() {
  static auto* const all = new std::map<std::uint64_t, cudaError_t>;
  return *all;
}

}  // namespace

void fail_call(std::uint64_t n, cudaError_t error) {
  failed = nullptr;
  pending()[calls + n] = error;
}
void fail_no_call() { pending().clear(); }
const char* failed_call() { return failed; }

cudaError_t begin_call(const char* name) {
  if (depth++ > 0) return cudaSuccess;
  const auto at = pending().find(++calls);
  if (at == pending().end()) return cudaSuccess;
  const cudaError_t error = at->second;
  pending().erase(at);
  failed = name;
  return error;
}

void end_call(cudaError_t error) {
  if (--depth == 0 && error != cudaSuccess) last_error = error;
}

}  // namespace haze::simt

cudaError_t cudaGetLastError() {
  const cudaError_t error = haze::simt::last_error;
  haze::simt::last_error = cudaSuccess;
  return error;
}
