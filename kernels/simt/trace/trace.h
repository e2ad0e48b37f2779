// SPDX-License-Identifier: MIT
// trace.h — what a run of CUDA kernels did, access by access: for tests and for `haze bench
// --explain`. In programs that link the traced kernels (haze_add_traced_cuda), kernels run under a
// Tracing are recorded:
//
//   Trace trace;
//   {
//     Tracing on(trace);
//     ...allocate, launch, synchronise...
//   }
//   trace.findings()      mistakes: races, reads of what nobody wrote
//   trace.buffer(p)       bytes moved to and from a buffer
//   trace.conflicts()     bank conflicts
//   trace.text()          all of it, to be read
//
// How it is found: clocks.h (what is ordered before what), cells.h (the last accesses to every
// word), instructions.h (which accesses are one instruction of a warp). The report: docs/simt.md.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace haze::simt {

enum class Mistake : std::uint8_t {
  shared_race,           // two threads of a block, or an asynchronous copy; nothing orders them
  global_race,           // the same on device memory
  race_between_blocks,   // of one launch
  uninitialised_shared,  // read, written by nobody in this block
  uninitialised_global,  // read, written by nobody since its allocation
};
const char* name_of(Mistake mistake);

/// The same mistake at the same lines of a kernel is one finding.
struct Finding {
  Mistake mistake;
  std::string kernel;
  std::string where;    // "pointwise.cu:18"
  std::string earlier;  // of a race: the line of the access it races with
  std::string text;     // the first time it happened, in words
  std::uint64_t count = 0;
};

/// Traffic in one direction. Sectors are counted per warp instruction, as if there were no cache:
/// what the memory itself moves lies between `unique` and 32 times `sectors`.
struct Traffic {
  std::uint64_t requested = 0;      // bytes that instructions asked for
  std::uint64_t unique = 0;         // different bytes among them
  std::uint64_t sectors = 0;        // of 32 bytes, per warp instruction
  std::uint64_t ideal_sectors = 0;  // if each instruction's bytes lay side by side
};
struct BufferTraffic {
  std::string name;
  std::size_t bytes = 0;
  Traffic read, written;
};

enum class Space : std::uint8_t { shared, global };

/// What one line of source does to one memory.
struct Line {
  std::string kernel, where;
  Space space;
  std::string what;                // "load", "store", "atomic", "cp.async", "ldmatrix"
  unsigned bytes = 0;              // per thread
  std::uint64_t instructions = 0;  // of warps
  std::uint64_t transactions = 0;  // shared: wavefronts; global: sectors
  std::uint64_t ideal = 0;         // without bank conflicts; with full sectors
  double worst = 0;                // transactions / ideal of the worst instruction
  std::uint64_t excess() const { return transactions - ideal; }
};

class Tracer;

class Trace {
 public:
  Trace();
  ~Trace();
  /// Part of a device allocation, to be reported by itself. Before the launches.
  void name(const void* p, std::size_t bytes, const std::string& name);
  /// Forgets that somebody wrote here: memory that an arena hands out again.
  void uninitialised(const void* p, std::size_t bytes);

  std::vector<Finding> findings() const;
  /// The named part or the allocation that contains p; over all launches.
  BufferTraffic buffer(const void* p) const;
  /// All of them: every access is counted in one.
  std::vector<BufferTraffic> buffers() const;
  std::vector<Line> lines() const;
  std::uint64_t conflicts() const;       // wavefronts of shared memory beyond the ideal
  std::uint64_t excess_sectors() const;  // of device memory
  std::uint64_t mma() const;
  std::uint64_t launches() const;
  std::string text() const;

 private:
  friend class Tracing;
  std::vector<std::vector<Line>> lines_by_record() const;
  std::unique_ptr<Tracer> tracer_;
};

/// Records while it lives. Buffers allocated before count as initialised.
class Tracing {
 public:
  explicit Tracing(Trace& trace);
  ~Tracing();
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;
};

}  // namespace haze::simt
