// SPDX-License-Identifier: MIT
// scheduler.cpp — runs a grid: which block, which thread next, and how a run ends.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "kernels/simt/emulator/block.h"
#include "kernels/simt/emulator/device_ids.h"
#include "kernels/simt/emulator/observer.h"
#include "kernels/simt/emulator/ready_set.h"

namespace haze::simt {

Block block;
Thread* current = nullptr;

namespace {

ReadySet ready;
Context program;                  // where run_grid waits for the block
const Launch* running = nullptr;  // null: no grid is in work
bool failed = false;
char failure[8192];  // no std::string: the fiber that fails is abandoned
std::uint64_t bits_state;

void enter(Thread& thread) {
  current = &thread;
  threadIdx = thread.id;
}

void thread_main();

/// Continues with the next runnable thread, or with run_grid if there is none.
void go_on(Context& from) {
  if (ready.empty()) {
    current = nullptr;
    switch_context(from, program);
    return;
  }
  if (config().schedule.order == Order::random && schedule_bits() % 64 == 0)  // priorities change
    ready.swap(int(schedule_bits() % unsigned(block.size)),
               int(schedule_bits() % unsigned(block.size)));
  Thread& next = block.threads[std::size_t(ready.take())];
  if (next.state == State::unstarted) next.context = new_context(take_stack(), thread_main);
  enter(next);
  if (&next.context != &from) switch_context(from, next.context);
}

/// Runs threads one after the other on one stack, as long as those that come next have not begun.
void thread_main() {
  context_entered();
  for (;;) {
    current->state = State::ready;
    running->run();
    Thread& done = *current;
    done.state = State::done;
    --block.live;
    leave_copies(done);
    leave_warp(done);
    leave_barriers(done);
    Stack* stack = done.context.stack;
    done.context.stack = nullptr;
    if (!ready.empty()) {
      Thread& next = block.threads[std::size_t(ready.take())];
      enter(next);
      if (next.state == State::unstarted) {
        next.context.stack = stack;
        continue;
      }
      give_stack(stack);
      Context abandoned{nullptr, stack};
      switch_context(abandoned, next.context);
    }
    give_stack(stack);
    current = nullptr;
    Context abandoned{nullptr, stack};
    switch_context(abandoned, program);
  }
}

/// Ranks of the block's threads. Random: all threads shuffled, or whole warps that run ahead of
/// each other with their lanes shuffled.
std::vector<int> priorities(int n) {
  std::vector<int> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  const auto shuffle = [](auto first, auto last) {
    for (auto k = last - first; k > 1; --k) std::swap(first[k - 1], first[schedule_bits() % k]);
  };
  switch (config().schedule.order) {
    case Order::forward:
      break;
    case Order::reverse:
      std::reverse(order.begin(), order.end());
      break;
    case Order::random:
      if (schedule_bits() & 1) {
        shuffle(order.begin(), order.end());
        break;
      }
      std::vector<int> warps(static_cast<std::size_t>((n + 31) / 32)), by_warp;
      std::iota(warps.begin(), warps.end(), 0);
      shuffle(warps.begin(), warps.end());
      for (const int w : warps) {
        const auto first = order.begin() + w * 32, last = order.begin() + std::min(n, w * 32 + 32);
        shuffle(first, last);
        by_warp.insert(by_warp.end(), first, last);
      }
      order = by_warp;
  }
  return order;
}

void start_block(const Launch& launch) {
  block.live = block.size;
  for (Barrier& b : block.barriers) b = Barrier{};
  for (Warp& w : block.warps) w = Warp{};
  const std::vector<int> order = priorities(block.size);
  ready.reset(block.size, [&](int rank) { return order[std::size_t(rank)]; });
  for (int i = 0; i < block.size; ++i) {
    Thread& t = block.threads[std::size_t(i)];
    t.context = {};
    t.state = State::unstarted;
    t.linear = std::uint16_t(i);
    t.warp = std::uint16_t(i / 32);
    t.lane = std::uint8_t(i % 32);
    const unsigned x = launch.block.x, y = launch.block.y, at = unsigned(i);
    t.id = {at % x, at / x % y, at / (x * y)};
    ready.insert(i);
  }
}

void end_badly(const std::string& text) {
  for (Thread& t : block.threads) {
    if (t.context.stack) give_stack(t.context.stack);
    t.context = {};
    t.copies = {};
  }
  clean_stacks();
  close_shared_memory();
  if (observer()) observer()->launch_end();
  running = nullptr;
  current = nullptr;
  throw Error(text);
}

void run_block(const Launch& launch, unsigned index) {
  blockIdx = {index % launch.grid.x, index / launch.grid.x % launch.grid.y,
              index / (launch.grid.x * launch.grid.y)};
  start_block(launch);
  poison_shared_memory();
  if (observer()) observer()->block_begin(block.size, shared_arena(), shared_capacity());
  go_on(program);
  if (failed) end_badly(failure);
  if (block.live > 0)
    end_badly(cat("kernel ", launch.kernel, " block (", blockIdx.x, ",", blockIdx.y, ",",
                  blockIdx.z, "): deadlock", describe_threads()));
  if (observer()) observer()->block_end();
}

void check(const Launch& l) {
  const Limits& limits = config().limits;
  const std::size_t threads = std::size_t(l.block.x) * l.block.y * l.block.z;
  const auto refuse = [&](const auto&... why) {
    throw Error(cat("launch of ", l.kernel, ": ", why...));
  };
  if (running) refuse("from inside kernel ", running->kernel);
  if (threads < 1 || threads > limits.threads || l.block.z > 64)
    refuse("block of ", l.block.x, "x", l.block.y, "x", l.block.z, " threads");
  if (l.grid.x < 1 || l.grid.y < 1 || l.grid.z < 1 || l.grid.x > 0x7fffffffu || l.grid.y > 65535 ||
      l.grid.z > 65535)
    refuse("grid of ", l.grid.x, "x", l.grid.y, "x", l.grid.z, " blocks");
  const std::size_t shared = l.dynamic_shared + static_shared_of(l.entry);
  if (shared > limits.shared) refuse(shared, " bytes of shared memory; at most ", limits.shared);
}

std::size_t shared_limit() {
  const char* set = std::getenv("HAZE_SIMT_SHARED");
  if (!set) return Limits{}.shared;
  std::size_t kib = 0;
  char more = 0;
  if (std::sscanf(set, "%zu%c", &kib, &more) == 1 && kib >= 48 && kib <= 227) return kib * 1024;
  throw InputError(cat("HAZE_SIMT_SHARED=", set, "; KiB of shared memory per block, 48 to 227"));
}

int first_truncated_terms() {
  const char* set = std::getenv("HAZE_SIMT_MMA");
  if (!set) return 0;
  for (const int terms : {4, 8, 16})
    if (set == std::to_string(terms)) return terms;
  throw InputError(cat("HAZE_SIMT_MMA=", set, "; 4, 8 or 16 products that an mma adds at a time"));
}

Schedule first_schedule() {
  const char* set = std::getenv("HAZE_SIMT_SCHEDULE");
  if (!set) return {};
  for (const Schedule& s : schedules(0))
    if (s.str().starts_with(set)) return s;
  std::uint64_t seed = 0;
  if (std::sscanf(set, "random:%lu", &seed) == 1 && seed > 0) return {Order::random, seed, true};
  throw InputError(cat("HAZE_SIMT_SCHEDULE=", set, "; forward, reverse or random:SEED"));
}

}  // namespace

/// HAZE_SIMT_SCHEDULE=forward, reverse or random:SEED, HAZE_SIMT_SHARED=KiB and HAZE_SIMT_MMA=terms
/// set what the process starts with.
Config& config() {
  static Config one{.schedule = first_schedule(),
                    .limits = {.shared = shared_limit()},
                    .truncated_terms = first_truncated_terms()};
  return one;
}
Counters& counters() {
  static Counters one;
  return one;
}
Observer*& observer() {
  static Observer* one = nullptr;
  return one;
}

std::string Schedule::str() const {
  const char* names[] = {"forward", "reverse", "random"};
  std::string text = names[int(order)];
  if (order == Order::random) text += cat(" seed ", seed);
  return deferred ? text + ", deferred" : text;
}

std::vector<Schedule> schedules(int random) {
  std::vector<Schedule> all{{Order::forward, 1, false}, {Order::reverse, 1, true}};
  for (int i = 1; i <= random; ++i) all.push_back({Order::random, std::uint64_t(i), true});
  return all;
}

const char* kernel_name() { return running ? running->kernel : "?"; }
ThreadId current_thread() { return {current->linear, current->lane, current->warp}; }

std::uint64_t schedule_bits() {  // xorshift64 (Marsaglia 2003)
  bits_state ^= bits_state << 13;
  bits_state ^= bits_state >> 7;
  bits_state ^= bits_state << 17;
  return bits_state;
}

void wake(Thread& thread) {
  thread.state = State::ready;
  ready.insert(thread.linear);
}

void wait(State state, const char* what, Site site, const void* object) {
  Thread& me = *current;
  me.state = state;
  me.waits_in = what;
  me.site = site;
  me.object = object;
  go_on(me.context);
}

void preemption_point() {
  const Order order = config().schedule.order;
  if (!current || order == Order::forward || (order == Order::random && schedule_bits() % 8))
    return;
  Thread& me = *current;
  wake(me);
  go_on(me.context);
}

void fail(const char* format, ...) {
  int n =
      std::snprintf(failure, 512, "kernel %s block (%u,%u,%u) thread (%u,%u,%u): ", kernel_name(),
                    blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(failure + n, sizeof failure - std::size_t(n), format, arguments);
  va_end(arguments);
  if (!current) throw Error(failure);
  failed = true;
  Context abandoned{nullptr, current->context.stack};
  switch_context(abandoned, program);
  __builtin_unreachable();
}

void count_shared(const Launch& launch) {
  const std::size_t bytes = launch.dynamic_shared + static_shared_of(launch.entry);
  if (bytes <= counters().most_shared) return;
  counters().most_shared = bytes;
  counters().most_shared_by = launch.kernel;
}

void run_grid(const Launch& launch) {
  check(launch);
  running = &launch;
  failed = false;
  bits_state = config().schedule.seed * 0x9E3779B97F4A7C15u + 88172645463325252u;
  gridDim = launch.grid;
  blockDim = launch.block;
  block.size = int(launch.block.x * launch.block.y * launch.block.z);
  block.threads.resize(std::size_t(block.size));
  block.warps.resize(std::size_t((block.size + 31) / 32));
  open_shared_memory(launch.dynamic_shared);
  if (observer()) observer()->launch_begin(launch);
  const unsigned blocks = launch.grid.x * launch.grid.y * launch.grid.z;
  const bool seen = config().rehearsal && was_launched(launch.entry);
  const unsigned runs = seen ? 0 : config().rehearsal ? 1 : blocks;
  std::vector<unsigned> order(runs);
  std::iota(order.begin(), order.end(), 0u);
  if (config().schedule.order == Order::reverse) std::reverse(order.begin(), order.end());
  if (config().schedule.order == Order::random)
    for (unsigned k = runs; k > 1; --k) std::swap(order[k - 1], order[schedule_bits() % k]);
  for (const unsigned index : order) run_block(launch, index);
  if (observer()) observer()->launch_end();
  close_shared_memory();
  note_static_shared(launch.entry);
  running = nullptr;
  count_shared(launch);
  counters().launches += 1;
  counters().blocks += blocks;
  counters().threads += std::uint64_t(blocks) * unsigned(block.size);
}

}  // namespace haze::simt
