// SPDX-License-Identifier: MIT
#include "kernels/simt/trace/cells.h"

#include <new>
#include <sys/mman.h>

namespace haze::simt {
namespace {

/// Which slot to give up when all four still matter: a read, rather one of a warp that has another
/// here, so that a later write meets readers of different warps.
Slot& least_useful(Cell& cell, const Slot& now) {
  Slot* choice = nullptr;
  for (Slot& s : cell.slots) {
    if (s.access() != Access::read) continue;
    if (!choice) choice = &s;
    if (s.agent / 32 == now.agent / 32) return s;
    for (const Slot& other : cell.slots)
      if (&other != &s && other.access() == Access::read && other.agent / 32 == s.agent / 32)
        choice = &s;
  }
  return choice ? *choice : cell.slots[0];
}

}  // namespace

Slot race_with(Cell& cell, const Slot& now, int thread, Time start, const Clocks& clocks) {
  Slot race{};
  Slot* place = nullptr;
  bool place_is_free = false;
  for (Slot& s : cell.slots) {
    if (s.time <= start) {  // empty, or of another launch or block
      if (!place_is_free) place = &s, place_is_free = true;
      continue;
    }
    const bool both_read = s.access() == Access::read && now.access() == Access::read;
    const bool both_atomic = s.access() == Access::atomic && now.access() == Access::atomic;
    const bool same_copy = s.agent == now.agent && s.time == now.time;
    const bool ordered = same_copy || clocks.ordered(s.time, s.agent, thread);
    if ((s.mask & now.mask) && !both_read && !both_atomic && !ordered) race = s;
    // `now` takes the place of one that it covers: what comes later and races with that one races
    // with `now` too. Of atomics, which are in order by themselves, the last.
    const bool covers = (s.mask & ~now.mask) == 0 &&
                        (both_atomic || (ordered && (both_read || now.access() == Access::write)));
    if (covers) {
      if (place_is_free && place->time > start) place->time = 0;
      place = &s;
      place_is_free = true;
    }
  }
  *(place ? place : &least_useful(cell, now)) = now;
  return race;
}

Cells::Cells(std::size_t bytes) : mapped_((bytes + 3) / 4 * sizeof(Cell) + 4096) {
  void* p = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  cells_ = static_cast<Cell*>(p);
}
Cells::~Cells() { ::munmap(cells_, mapped_); }

}  // namespace haze::simt
