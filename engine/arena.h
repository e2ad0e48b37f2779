// SPDX-License-Identifier: MIT
// arena.h — memory for activations, their gradients and scratch.
//
// First-fit over a few large blocks. The same sequence of requests gets the same addresses, so a
// training step repeats its addresses exactly, and from the second step on nothing is asked of the
// system: the first step finds the size, consolidate() turns its blocks into one.
//
// Under AddressSanitizer only the bytes that are out may be touched: what is free, and what
// rounding sizes up leaves between two allocations, is forbidden, on the emulated device too.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "kernels/base/stream.h"

namespace haze::engine {

class Arena {
 public:
  /// separate: each allocation is one of the system's, of just its bytes (debugging.h).
  enum class Memory : std::uint8_t { blocks, separate };
  explicit Arena(Stream stream, Memory memory = Memory::blocks)
      : stream_(stream), memory_(memory) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Uninitialised memory, 256-byte aligned, returned to the arena when the last copy of the
  /// pointer dies. The arena must outlive it.
  std::shared_ptr<void> allocate(std::size_t bytes);

  /// Call between steps: if nothing is live and the arena has several blocks, makes them one.
  void consolidate();

  std::size_t live_bytes() const { return live_; }
  std::size_t peak_bytes() const { return peak_; }
  std::size_t reserved_bytes() const;
  /// How often memory was asked of the system: constant after the second step.
  std::size_t system_allocations() const { return system_allocations_; }

 private:
  struct Block {
    char* base;
    std::size_t size;
    std::map<std::size_t, std::size_t> free;  // offset -> length, never adjacent
  };
  /// Work that computes nothing, so that no plan counts it.
  template <class F>
  void guard(F&& f) {
    if (!plan_of(stream_)) std::visit(f, stream_);
  }
  std::shared_ptr<void> allocate_alone(std::size_t bytes, std::size_t size);
  void add_block(std::size_t bytes);
  void release_blocks();
  void give_back(char* p, std::size_t bytes);

  Stream stream_;
  Memory memory_;
  std::vector<Block> blocks_;
  std::size_t live_ = 0, peak_ = 0, system_allocations_ = 0;
};

}  // namespace haze::engine
