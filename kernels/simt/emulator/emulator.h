// SPDX-License-Identifier: MIT
// emulator.h — runs CUDA kernels on the CPU: what the device functions (builtins.h, twins.h), the
// launch and the tests see of it.
//
//   blocks    one after the other, on one OS thread
//   threads   of a block: one fiber each (fiber.h), which runs until it waits for others
//   schedule  which runnable thread goes next: in order, in reverse order, or by random priorities.
//             A missing barrier shows when one thread runs far ahead of another, which priorities
//             bring about and fair random picking does not (Burckhardt et al., "A randomized
//             scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010).
//   memory    is the host's. Shared memory is filled with NaN bits before every block.
//
// A kernel that breaks CUDA's rules ends in an Error that names kernel, block, threads and lines.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/simt/emulator/vector_types.h"

namespace haze::simt {

/// A kernel did what CUDA forbids.
struct Error : RunError {
  using RunError::RunError;
};

/// A place in the source: the caller's, when it is the default of a last argument.
struct Site {
  const char* file = nullptr;
  unsigned line = 0;
  static constexpr Site here(const char* file = __builtin_FILE(),
                             unsigned line = __builtin_LINE()) {
    return {file, line};
  }
};

enum class Order : std::uint8_t { forward, reverse, random };

/// How a run resolves what CUDA leaves open.
struct Schedule {
  Order order = Order::forward;  // of threads and, deferred, streams; random shuffles blocks too
  std::uint64_t seed = 1;
  /// Work on streams waits until somebody synchronises, then runs in an order that the streams'
  /// dependencies allow; otherwise it runs when it is enqueued.
  bool deferred = false;
  std::string str() const;
};
/// forward, reverse and `random` seeded schedules.
std::vector<Schedule> schedules(int random);

/// What a launch must fit into. Of shared memory a block gets 99 KiB on compute capability 8.6, 8.9
/// and 12 (GeForce RTX 30, 40 and 50), 163 on 8.0 and 8.7, 227 on 9.0 and 10 (NVIDIA, "CUDA
/// Programming Guide", compute capabilities): the least of them, or HAZE_SIMT_SHARED KiB.
struct Limits {
  std::size_t static_shared = 48 * 1024, shared = 99 * 1024, threads = 1024;
};

struct Config {
  Schedule schedule;
  Limits limits;
  /// What a run asks of the device, without its work: of each kernel one block runs, at its first
  /// launch; later launches are held against the limits. Copies and fills move nothing, and what
  /// comes back to the host is zero. Device memory takes no place until a kernel touches it.
  bool rehearsal = false;
  /// How mma.sync adds: 0, term by term, each sum rounded to the nearest f32; else so many products
  /// at a time, aligned with the sum to the largest of them and cut off, as tensor cores were
  /// measured to (tensor_core.cpp). HAZE_SIMT_MMA=4, 8 or 16.
  int truncated_terms = 0;
  int capability = 80;  // compute capability that the device says it has: 10·major + minor
};
/// Of the process; may be changed between launches.
Config& config();

/// Counts since the last reset.
struct Counters {
  std::uint64_t launches = 0, blocks = 0, threads = 0, barriers = 0, collectives = 0, mma = 0;
  std::size_t most_shared = 0;      // bytes of shared memory, static and dynamic, of one launch
  const char* most_shared_by = "";  // the kernel that asked for them
};
Counters& counters();

/// One launch, ready to run: `run` is the kernel's body for one thread.
struct Launch {
  const char* kernel;
  dim3 grid, block;
  std::size_t dynamic_shared;
  std::function<void()> run;
  const void* entry = nullptr;  // the kernel's address
};
/// Runs it to the end. Throws Error.
void run_grid(const Launch& launch);

// ---- for device functions: called on a fiber
// ------------------------------------------------------

/// Ends the run: thrown as an Error where the launch was made. The frames of the kernel's threads
/// are abandoned without unwinding, so nothing that owns memory may be alive in a kernel.
[[noreturn, gnu::format(printf, 1, 2)]] void fail(const char* format, ...);
/// "group_norm.cu:31"
std::string text_of(const Site& site);

/// Barrier `id` of the block; count 0: all its threads.
void block_barrier(int id, int count, const char* what, Site site);
/// As above, without waiting (bar.arrive).
void block_arrive(int id, int count, const char* what, Site site);

/// A warp collective: each lane of `mask` deposits `argument`; when all have come, `combine` runs
/// once over arguments[lane] and everybody goes on. Arguments live on the fibers' stacks and must
/// not be used after the call.
using Combine = void (*)(void* const* arguments, std::uint32_t mask);
enum class Ordering : bool { none, memory };  // __syncwarp orders memory; a shuffle does not
void warp_collective(std::uint32_t mask, const char* what, Site site, void* argument,
                     Combine combine, Ordering ordering = Ordering::none);

/// The block's shared variable known by `key`: the same memory for every thread, another for every
/// block. Between variables lie red zones.
void* shared_variable(const void* key, std::size_t bytes, std::size_t alignment);
void* dynamic_shared();
bool is_shared(const void* p);

/// The schedule may run another thread here: after operations by which threads signal each other.
void preemption_point();

struct ThreadId {
  int linear, lane, warp;
};
ThreadId current_thread();

}  // namespace haze::simt
