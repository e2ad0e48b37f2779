// SPDX-License-Identifier: MIT
// clocks.h — which accesses are ordered: happens-before (Lamport 1978), kept as vector clocks.
//
// One counter, `now`, is the time of everything; it moves on whenever threads synchronise. An
// access is remembered with the time and the agent that made it. Thread t knows of agent a up to a
// time: a's accesses until then happen before what t does next. Agents are a block's threads and,
// for each thread, its asynchronous copies, which end in the order in which they were issued.
//
//   __syncthreads    everybody knows of all threads, and of the copies that their threads waited
//   for named barriers,
//   __syncwarp       the same among those who met
//   shuffles, mma    order nothing: CUDA gives no such promise
//   atomics          who reads a counter knows what those before had fenced (__threadfence) when
//                    they changed it; also between blocks. Without the fence: nothing
//
// Knowledge after a barrier of the whole block is one number for all (`floor_`); a row of times per
// thread is kept only where threads have met in smaller groups since.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

namespace haze::simt {

using Time = std::uint32_t;
constexpr unsigned kCopiesOf = 1024;  // agent of thread t's copies: kCopiesOf + t

class Clocks {
 public:
  void begin_launch();
  void begin_block(int threads, unsigned block);

  void synchronise(const std::uint16_t* threads, int n);
  void fence(int thread);
  void atomic(int thread, const void* object);
  /// An asynchronous copy begins: its time, which is its name.
  Time fork() { return ++now_; }
  /// `thread` has waited for the copy, and so for those before it.
  void join(int thread, Time copy);

  Time now() const { return now_; }
  Time launch_start() const { return launch_start_; }
  Time block_start() const { return block_start_; }
  /// An access of this launch, made at `time` by `agent`, happens before what `thread` does now.
  bool ordered(Time time, unsigned agent, int thread) const;
  unsigned block_at(Time time) const;

 private:
  using Row = std::shared_ptr<const std::vector<Time>>;  // times of threads, then of their copies
  struct Release {  // what a block had fenced; the releases that it had seen
    unsigned block;
    Row row;
    int before, seen;
  };
  struct Object {
    unsigned block = 0;
    Row row;           // fenced by this block's threads
    int release = -1;  // the latest
  };
  Time of(const Row& row, unsigned agent) const {
    return (*row)[agent < kCopiesOf ? agent : std::size_t(threads_) + agent - kCopiesOf];
  }
  Row knowledge(int thread) const;
  Row joined(const Row& a, const Row& b) const;
  int joined(int a, int b);
  bool released(int release, Time time, unsigned agent) const;

  int threads_ = 0;
  Time now_ = 1, floor_ = 0, launch_start_ = 0, block_start_ = 0;
  std::vector<Time> copies_known_, copies_done_;  // by everybody; by the thread itself
  std::vector<Row> rows_, fenced_;                // per thread; null: nothing beyond the floor
  std::vector<int> seen_;                         // per thread: the releases it has acquired, or -1
  bool any_fence_ = false, any_seen_ = false;
  std::unordered_map<const void*, Object> objects_;
  std::deque<Release> releases_;
  std::vector<std::pair<Time, unsigned>> blocks_;  // of the launch: start, index
  mutable int looked_up_ = -1;                     // the release whose history `history_` holds
  mutable std::unordered_map<unsigned, std::vector<Row>> history_;
};

}  // namespace haze::simt
