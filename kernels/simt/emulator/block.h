// SPDX-License-Identifier: MIT
// block.h — the state of the one block in work. For the emulator's own .cpp files.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "kernels/simt/emulator/emulator.h"
#include "kernels/simt/emulator/fiber.h"

namespace haze::simt {

enum class State : std::uint8_t {
  unstarted,
  ready,
  at_barrier,
  in_warp_collective,
  on_object,
  done
};

/// One cp.async that was issued and has not been waited for.
struct PendingCopy {
  void* shared;
  const void* global;
  unsigned bytes, from_global;  // the rest of `bytes` becomes zero
  int agent;                    // the trace's name for it
};
struct CopyGroups {
  std::vector<PendingCopy> open;
  std::deque<std::vector<PendingCopy>> committed;
  bool empty() const { return open.empty() && committed.empty(); }
};

struct Thread {
  Context context;
  uint3 id{};
  std::uint16_t linear = 0, warp = 0;
  std::uint8_t lane = 0;
  State state = State::unstarted;
  const char* waits_in = nullptr;  // with site: where, in a state that waits
  Site site;
  const void* object = nullptr;
  CopyGroups copies;
};

struct Barrier {
  int arrived = 0, needed = 0;  // needed 0: all threads
  Site site;
  std::uint16_t first = 0;
  std::vector<std::uint16_t> arrivals, waiting;
};

/// Lanes of one warp that wait for each other. A warp may have several, with disjoint masks.
struct WarpMeeting {
  std::uint32_t mask = 0, arrived = 0;
  const char* what = nullptr;
  Site site;
  Combine combine = nullptr;
  Ordering ordering = Ordering::none;
  void* arguments[32];
};
struct Warp {
  std::vector<WarpMeeting> meetings;
  std::uint32_t exited = 0;
};

constexpr int kBarriers = 16;
struct Block {
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Barrier barriers[kBarriers];
  int size = 0, live = 0;
};
extern Block block;

/// The running thread; null on the host.
extern Thread* current;
const char* kernel_name();

/// Makes a waiting thread runnable.
void wake(Thread& thread);
/// The running thread waits: runs others until it is woken.
void wait(State state, const char* what, Site site, const void* object = nullptr);

/// "threads 0-31: waiting in __syncthreads at k.cu:7", a line per group.
std::string describe_threads();
bool same_place(const Site& a, const Site& b);
/// Random bits of the schedule.
std::uint64_t schedule_bits();

// What a returning thread means to the others (barriers.cpp, collectives.cpp, async_copy.cpp).
void leave_barriers(const Thread& thread);
void leave_warp(const Thread& thread);
void leave_copies(const Thread& thread);

// shared_memory.cpp: before the first block of a launch, before each block and after the last.
void open_shared_memory(std::size_t dynamic_bytes);
void poison_shared_memory();
void close_shared_memory();
/// Bytes of HAZE_SHARED variables that a kernel was seen to have: they show when it runs, and are
/// noted after each launch. A launch before the first: 0.
std::size_t static_shared_of(const void* entry);
bool was_launched(const void* entry);
void note_static_shared(const void* entry);
const char* shared_arena();
std::size_t shared_capacity();

}  // namespace haze::simt
