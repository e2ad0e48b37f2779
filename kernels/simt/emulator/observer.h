// SPDX-License-Identifier: MIT
// observer.h — what the emulator tells a trace of the run. Without an observer nothing is recorded.
#pragma once
#include <cstdint>

#include "kernels/simt/emulator/emulator.h"

namespace haze::simt {

enum class Access : std::uint8_t { read, write, atomic };

/// One kernel runs at a time; blocks run one after the other.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void launch_begin(const Launch& launch) = 0;
  virtual void launch_end() = 0;  // also after a failure, without block_end
  /// [arena, arena + capacity) is the block's shared memory.
  virtual void block_begin(int threads, const char* arena, std::size_t capacity) = 0;
  virtual void block_end() = 0;
  /// An access by the running agent: a thread, or an asynchronous copy. `pc` is the return address
  /// of the access, from which its source line is found.
  virtual void access(const void* p, unsigned bytes, Access kind, const void* pc) = 0;
  /// The running thread gives a row of 16 bytes to ldmatrix.
  virtual void matrix_row(const void* row, const void* pc) = 0;
  /// The n threads have met: what each did before happens before what each does after.
  virtual void synchronise(const std::uint16_t* threads, int n) = 0;
  /// The running thread's __threadfence: what it did and knows may be released by an atomic, which
  /// hands it to those who change the same counter later.
  virtual void fence() = 0;
  /// A new agent that starts with what the running thread has done. Returns its number.
  virtual int fork_agent() = 0;
  /// The running agent's accesses are made by `agent` until called with 0: the thread itself.
  virtual void become_agent(int agent) = 0;
  /// The running thread has waited for `agent`.
  virtual void join_agent(int agent) = 0;
  /// Device memory comes and goes; the host writes to it.
  virtual void allocated(const void* p, std::size_t bytes) = 0;
  virtual void freed(const void* p) = 0;
  virtual void host_wrote(const void* p, std::size_t bytes) = 0;
};

/// Null unless a trace is being taken.
Observer*& observer();

}  // namespace haze::simt
