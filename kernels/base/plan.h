// SPDX-License-Identifier: MIT
// plan.h — what work would take and launch, found without doing it.
//
// A stream with a Plan executes no kernel, and its memory has addresses but no bytes: whoever
// touches it ends the process. Everything else happens as ever, so that the sizes are the real ones:
// the arena asks for the blocks that it would ask for, every op checks its shapes and asks for the
// scratch of its kernels. So a training step can be tried of which not a hundredth would fit.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <source_location>
#include <vector>

namespace haze {

class Plan {
 public:
  /// An address like memory's, 256-byte aligned, in a part of the address space that no process has.
  void* take(std::size_t bytes) {
    void* const p = reinterpret_cast<void*>(next_);
    next_ += (bytes + kAlign - 1) / kAlign * kAlign + kAlign;
    held_.emplace(p, bytes);
    live_ += bytes;
    if (live_ > peak_) peak_ = live_;
    return p;
  }
  void give(void* p) noexcept {
    const auto at = held_.find(p);
    live_ -= at->second;
    held_.erase(at);
  }
  /// Bytes held now, and the most that were held at once.
  std::size_t live_bytes() const { return live_; }
  std::size_t peak_bytes() const { return peak_; }

  /// Where kernels, fills and copies would have been launched, in order.
  std::vector<std::source_location> launches;

 private:
  static constexpr std::size_t kAlign = 256;
  // Addresses of user programs end below 2^47 on x86-64 and 2^48 on Arm.
  std::uintptr_t next_ = std::uintptr_t{1} << 56;
  std::map<void*, std::size_t> held_;
  std::size_t live_ = 0, peak_ = 0;
};

}  // namespace haze
