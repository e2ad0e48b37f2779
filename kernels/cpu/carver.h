// SPDX-License-Identifier: MIT
// carver.h — how the CPU backend's kernels cut their scratch. Included by .cpp files only.
#pragma once
#include <cstddef>

namespace haze::kernels {

/// Cuts a kernel's scratch buffer into parts. From a null buffer it only counts: run the same calls
/// to learn bytes().
class Carver {
 public:
  explicit Carver(void* base) : base_(static_cast<char*>(base)) {}
  void* take(std::size_t bytes) {
    void* part = base_ ? base_ + used_ : nullptr;
    used_ += (bytes + 255) / 256 * 256;
    return part;
  }
  float* take_floats(std::size_t count) { return static_cast<float*>(take(count * sizeof(float))); }
  std::size_t bytes() const { return used_; }

 private:
  char* base_;
  std::size_t used_ = 0;
};

}  // namespace haze::kernels
