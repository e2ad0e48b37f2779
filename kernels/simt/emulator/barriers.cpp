// SPDX-License-Identifier: MIT
// barriers.cpp — __syncthreads and the named barriers (PTX bar.sync, bar.arrive).
#include "kernels/simt/emulator/block.h"
#include "kernels/simt/emulator/builtins.h"
#include "kernels/simt/emulator/observer.h"

namespace haze::simt {
namespace {

/// Everybody has come: the threads that wait go on.
void open(Barrier& b) {
  if (observer()) observer()->synchronise(b.arrivals.data(), int(b.arrivals.size()));
  for (const std::uint16_t i : b.waiting) wake(block.threads[i]);
  b.arrivals.clear();
  b.waiting.clear();
  b.arrived = 0;
}

/// Counts the running thread in; true when it was the last.
bool arrive(int id, int count, const char* what, Site site, Barrier*& b) {
  Thread& me = *current;
  const auto fail_here = [&](const char* why) {
    me.state = State::at_barrier;
    me.waits_in = what;
    me.site = site;
    fail("%s: %s at %s%s", why, what, text_of(site).c_str(), describe_threads().c_str());
  };
  if (id < 0 || id >= kBarriers || count < 0 || count % 32 != 0)
    fail("%s at %s: barrier %d of %d threads; barriers are 0 to 15 and count whole warps", what,
         text_of(site).c_str(), id, count);
  b = &block.barriers[id];
  if (count == 0 && block.live != block.size)
    fail_here("barrier reached while other threads have already returned");
  if (b->arrived == 0) {
    b->site = site;
    b->needed = count;
    b->first = me.linear;
  } else if (b->needed != count) {
    fail_here("threads disagree on how many meet at the barrier");
  } else if (count == 0 && !same_place(b->site, site)) {
    me.state = State::at_barrier;
    me.waits_in = what;
    me.site = site;
    fail("divergent barrier: thread %d is at %s, thread %d waits at %s%s", me.linear,
         text_of(site).c_str(), b->first, text_of(b->site).c_str(), describe_threads().c_str());
  }
  ++counters().barriers;
  ++b->arrived;
  b->arrivals.push_back(me.linear);
  return b->arrived == (b->needed == 0 ? block.size : b->needed);
}

}  // namespace

void block_barrier(int id, int count, const char* what, Site site) {
  Barrier* b;
  if (arrive(id, count, what, site, b)) return open(*b);
  b->waiting.push_back(current->linear);
  wait(State::at_barrier, what, site);
}

void block_arrive(int id, int count, const char* what, Site site) {
  Barrier* b;
  if (arrive(id, count, what, site, b)) open(*b);
  preemption_point();
}

int block_sum(int value, const char* what, Site site) {
  static int sum;
  block_barrier(0, 0, what, site);  // nobody still reads the last call's sum
  if (current->linear == 0) sum = 0;
  block_barrier(0, 0, what, site);
  sum += value;
  block_barrier(0, 0, what, site);
  return sum;
}

void leave_barriers(const Thread&) {
  const Barrier& b = block.barriers[0];
  if (b.arrived > 0 && b.needed == 0)
    fail("the thread returned while others wait at a block barrier%s", describe_threads().c_str());
}

}  // namespace haze::simt
