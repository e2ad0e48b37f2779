// SPDX-License-Identifier: MIT
// tracer.h — the observer behind a Trace: asks clocks and cells about every access and keeps the
// counts that the report is made of.
#pragma once
#include <map>
#include <tuple>

#include "kernels/simt/trace/buffers.h"
#include "kernels/simt/trace/instructions.h"

namespace haze::simt {

/// Launches of one kernel with the same grid and block.
struct LaunchRecord {
  std::string kernel;  // as HAZE_LAUNCH was given it
  const void* entry = nullptr;
  dim3 grid, block;
  std::size_t dynamic_shared = 0;
  std::uint64_t count = 0, barriers = 0, mma = 0;  // barriers: per block, of the first launch
  struct PartTraffic {
    Traffic read, written;
  };
  std::map<unsigned, PartTraffic> parts;  // by index in Buffers
  std::map<unsigned, Cost> sites;         // by index in Instructions
};

/// A mistake at one pair of places in the code, and the first time it happened.
struct RawFinding {
  unsigned thread, other_thread, block, other_block;
  bool by_copy, other_by_copy;
  Access access, other_access;
  std::string place;  // in which memory
  std::uint64_t count = 0;
};
struct FindingKey {
  Mistake mistake;
  unsigned record, site, other_site;  // other_site: kSites if there is none
  auto operator<=>(const FindingKey&) const = default;
};

class Tracer final : public Observer {
 public:
  Tracer();
  void launch_begin(const Launch& launch) override;
  void launch_end() override;
  void block_begin(int threads, const char* arena, std::size_t capacity) override;
  void block_end() override;
  void access(const void* p, unsigned bytes, Access kind, const void* pc) override;
  void matrix_row(const void* row, const void* pc) override {
    by_ = By::ldmatrix;
    access(row, 16, Access::read, pc);
    by_ = By::thread;
  }
  void synchronise(const std::uint16_t* threads, int n) override {
    clocks_.synchronise(threads, n);
  }
  void fence() override { clocks_.fence(current_thread().linear); }
  int fork_agent() override { return int(clocks_.fork()); }
  void become_agent(int agent) override {
    copy_ = Time(agent);
    by_ = agent ? By::copy : By::thread;
  }
  void join_agent(int agent) override { clocks_.join(current_thread().linear, Time(agent)); }
  void allocated(const void* p, std::size_t n) override {
    buffers.allocated(static_cast<const char*>(p), n);
  }
  void freed(const void* p) override { buffers.freed(static_cast<const char*>(p)); }
  void host_wrote(const void* p, std::size_t n) override {
    buffers.written(static_cast<const char*>(p), n, true);
  }

  Buffers buffers;
  Instructions instructions;
  std::vector<LaunchRecord> records;
  std::map<FindingKey, RawFinding> findings;

 private:
  void shared_access(std::size_t offset, unsigned bytes, const Slot& now, int thread);
  void global_access(Allocation& a, const char* p, unsigned bytes, const Slot& now, int thread);
  void found(Mistake mistake, const Slot& now, const Slot& earlier, const std::string& place);
  void executed(unsigned site, const WarpAccess& access);

  Clocks clocks_;
  std::unique_ptr<Cells> shared_;
  const char* arena_ = nullptr;
  std::size_t capacity_ = 0;
  bool in_block_ = false;
  unsigned record_ = 0, launch_ = 0, block_ = 0;
  Counters before_;
  Time copy_ = 0;  // the running copy, or 0
  By by_ = By::thread;
  std::vector<Cost> costs_;  // of the launch, by site
};

}  // namespace haze::simt
