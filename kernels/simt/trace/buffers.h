// SPDX-License-Identifier: MIT
// buffers.h — device memory as the trace sees it: allocations with their cells, and the parts of
// them that have names.
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "kernels/simt/trace/cells.h"
#include "kernels/simt/trace/trace.h"

namespace haze::simt {

/// A named part of an allocation, or all of it.
struct BufferPart {
  const char* first;
  BufferTraffic total;
  Traffic read, written;  // of the launch in work
  bool live = true;       // its allocation has not been freed
};
struct Allocation {
  const char* first;
  std::size_t bytes;
  Cells cells;
  bool live = true, was_written;  // before the trace
  Allocation(const char* p, std::size_t n, bool w) : first(p), bytes(n), cells(n), was_written(w) {}
  /// Cells are zero until touched, so `written` tells where it differs from was_written.
  bool is_written(const Cell& c, unsigned mask) const {
    return ((was_written ? ~c.written : c.written) & mask) == mask;
  }
  void set_written(Cell& c, unsigned mask, bool is = true) {
    c.written = std::uint8_t(is != was_written ? c.written | mask : c.written & ~mask);
  }
};

class Buffers {
 public:
  /// After a time without a trace: what was freed is gone, what is there counts as written.
  void resume();
  void allocated(const char* p, std::size_t bytes) { add(p, bytes, false); }
  void freed(const char* p);
  void name(const char* p, std::size_t bytes, const std::string& name);
  void written(const char* p, std::size_t bytes, bool is);

  /// The allocation that contains p; one that was there before the trace counts as written. Null
  /// if p is not device memory.
  Allocation* allocation(const char* p);
  /// Index of the smallest part that contains p.
  unsigned part_of(const char* p);
  std::vector<BufferPart>& parts() { return parts_; }
  const BufferPart* find(const char* p) const;  // rather a live one

 private:
  Allocation& add(const char* p, std::size_t bytes, bool was_written);

  std::vector<std::unique_ptr<Allocation>> all_;
  std::map<const char*, Allocation*> live_;  // by address
  std::vector<BufferPart> parts_;            // in the order in which they came
  Allocation* last_ = nullptr;
  unsigned last_part_ = 0;
  const char *part_first_ = nullptr, *part_end_ = nullptr;  // where last_part_ is the answer
  std::vector<std::uintptr_t> elsewhere_ = std::vector<std::uintptr_t>(256);  // pages of the host
};

}  // namespace haze::simt
