// SPDX-License-Identifier: MIT
// cells.h — the memory of a memory: for every 4 bytes the accesses that a later one may race with
// (four of them, after the shadow words of Serebryany & Iskhodzhanov, "ThreadSanitizer", 2009),
// which bytes have been written, and which have been counted.
#pragma once
#include <cstdint>

#include "kernels/simt/emulator/observer.h"
#include "kernels/simt/trace/clocks.h"

namespace haze::simt {

/// An access that was made. Time 0: none.
struct Slot {
  Time time;
  std::uint32_t agent : 11, mask : 4, kind : 2, site : 15;
  Access access() const { return Access(kind); }
};
constexpr unsigned kSites = 1 << 15;

struct Cell {
  Slot slots[4];
  std::uint32_t epoch;                       // the block or launch that the next line is of
  std::uint8_t written, read, stored, ever;  // bytes; ever: of all launches, read | stored << 4
};

/// The access that races with `now`, made by `thread` itself or one of its copies; time 0 if there
/// is none. Remembers `now`. Accesses before `start` are forgotten.
Slot race_with(Cell& cell, const Slot& now, int thread, Time start, const Clocks& clocks);

/// Cells for a range of addresses, zero until touched.
class Cells {
 public:
  explicit Cells(std::size_t bytes);
  ~Cells();
  Cells(const Cells&) = delete;
  Cells& operator=(const Cells&) = delete;
  Cell& operator[](std::size_t word) { return cells_[word]; }

 private:
  Cell* cells_;
  std::size_t mapped_;
};

/// Calls f(word, mask) for the 4-byte words of [offset, offset + bytes).
template <class F>
void each_word(std::size_t offset, std::size_t bytes, F&& f) {
  for (const std::size_t end = offset + bytes; offset < end;) {
    const std::size_t word = offset / 4, stop = end < word * 4 + 4 ? end : word * 4 + 4;
    f(word, ((1u << (stop - offset)) - 1) << offset % 4);
    offset = stop;
  }
}

}  // namespace haze::simt
