// SPDX-License-Identifier: MIT
#include "kernels/simt/trace/buffers.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/check.h"
#include "kernels/simt/emulator/device_memory.h"

namespace haze::simt {

Allocation& Buffers::add(const char* p, std::size_t bytes, bool was_written) {
  all_.push_back(std::make_unique<Allocation>(p, bytes, was_written));
  live_[p] = all_.back().get();
  BufferPart part{p, {}, {}, {}, true};
  part.total.name = cat("buffer ", all_.size());
  part.total.bytes = bytes;
  parts_.push_back(part);
  part_first_ = part_end_ = nullptr;
  std::ranges::fill(elsewhere_, 0);
  return *all_.back();
}

void Buffers::resume() {
  last_ = nullptr;
  part_first_ = part_end_ = nullptr;
  std::ranges::fill(elsewhere_, 0);
  for (const auto& [p, a] : live_) {
    const void* first;
    std::size_t bytes;
    a->live = device_allocation(p, first, bytes) && first == p && bytes == a->bytes;
    if (a->live) written(p, a->bytes, true);
  }
  for (auto at = live_.begin(); at != live_.end();) {
    const auto next = std::next(at);
    if (!at->second->live) freed(at->first);
    at = next;
  }
}

void Buffers::freed(const char* p) {
  const auto at = live_.find(p);
  if (at == live_.end()) return;
  at->second->live = false;
  for (BufferPart& part : parts_)
    if (part.first >= p && part.first < p + at->second->bytes) part.live = false;
  last_ = nullptr;
  part_first_ = part_end_ = nullptr;
  live_.erase(at);
}

void Buffers::name(const char* p, std::size_t bytes, const std::string& name) {
  allocation(p);  // before its parts
  const auto same = std::ranges::find_if(
      parts_, [&](const BufferPart& part) { return part.first == p && part.total.bytes == bytes; });
  if (same != parts_.end() && same + 1 == parts_.end()) {
    same->total.name = name;
    return;
  }
  BufferPart part{p, {}, {}, {}, true};
  part.total.name = name;
  part.total.bytes = bytes;
  parts_.push_back(part);
  part_first_ = part_end_ = nullptr;
}

void Buffers::written(const char* p, std::size_t bytes, bool is) {
  Allocation* a = allocation(p);
  if (!a) return;
  bytes = std::min(bytes, std::size_t(a->first + a->bytes - p));
  each_word(std::size_t(p - a->first), bytes,
            [&](std::size_t word, unsigned mask) { a->set_written(a->cells[word], mask, is); });
}

Allocation* Buffers::allocation(const char* p) {
  if (last_ && p >= last_->first && p < last_->first + last_->bytes) return last_;
  auto next = live_.upper_bound(p);
  if (next != live_.begin()) {
    Allocation* a = std::prev(next)->second;
    if (p < a->first + a->bytes) return last_ = a;
  }
  const std::uintptr_t page = reinterpret_cast<std::uintptr_t>(p) >> 12;
  std::uintptr_t& known = elsewhere_[page % elsewhere_.size()];
  if (known == page) return nullptr;
  const void* first;
  std::size_t bytes;
  if (!device_allocation(p, first, bytes) || live_.count(static_cast<const char*>(first))) {
    known = page;
    return nullptr;
  }
  return last_ = &add(static_cast<const char*>(first), bytes, true);
}

const BufferPart* Buffers::find(const char* p) const {
  const BufferPart* best = nullptr;  // the smallest, of equal ones the latest
  for (const BufferPart& part : parts_) {
    if (p < part.first || p >= part.first + part.total.bytes) continue;
    if (!best || part.live > best->live ||
        (part.live == best->live && part.total.bytes <= best->total.bytes))
      best = &part;
  }
  return best;
}

unsigned Buffers::part_of(const char* p) {
  if (p >= part_first_ && p < part_end_) return last_part_;
  const BufferPart* best = find(p);
  if (!best) fail("the trace has no buffer at %p", static_cast<const void*>(p));
  last_part_ = unsigned(best - parts_.data());
  part_first_ = best->first;
  part_end_ = best->first + best->total.bytes;
  for (const BufferPart& other : parts_)  // a smaller one inside is asked for every time
    if (other.live && other.total.bytes < best->total.bytes && other.first < part_end_ &&
        other.first + other.total.bytes > part_first_)
      part_end_ = part_first_;
  return last_part_;
}

}  // namespace haze::simt
