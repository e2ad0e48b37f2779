// SPDX-License-Identifier: MIT
#include "engine/arena.h"

#include <algorithm>

#include "engine/launch.h"
#include "kernels/base/check.h"
#include "kernels/runtime/memory.h"

namespace haze::engine {
namespace {
constexpr std::size_t kAlign = 256, kMinBlock = std::size_t{16} << 20;
std::size_t round_up(std::size_t bytes) {
  return (std::max<std::size_t>(bytes, 1) + kAlign - 1) / kAlign * kAlign;
}
}  // namespace

Arena::~Arena() { release_blocks(); }

std::shared_ptr<void> Arena::allocate(std::size_t bytes) {
  const std::size_t size = round_up(bytes);
  if (memory_ == Memory::separate) return allocate_alone(bytes, size);
  char* p = nullptr;
  for (int attempt = 0; !p; ++attempt) {
    HAZE_CHECK(attempt < 2, "a fresh block does not hold ", size, " bytes");
    for (Block& b : blocks_) {
      const auto hole = std::ranges::find_if(b.free, [&](auto& h) { return h.second >= size; });
      if (hole == b.free.end()) continue;
      const auto [offset, length] = *hole;
      b.free.erase(hole);
      if (length > size) b.free.emplace(offset + size, length - size);
      p = b.base + offset;
      break;
    }
    if (!p) add_block(size);
  }
  guard([&](auto s) { kernels::permit(s, p, bytes); });
  live_ += size;
  peak_ = std::max(peak_, live_);
  return {p, [this, size](void* q) { give_back(static_cast<char*>(q), size); }};
}

/// The system waits for what is under way before it takes memory back (cudaFree does).
std::shared_ptr<void> Arena::allocate_alone(std::size_t bytes, std::size_t size) {
  void* const p = take_memory(stream_, std::max<std::size_t>(bytes, 1));
  ++system_allocations_;
  live_ += size;
  peak_ = std::max(peak_, live_);
  return {p, [this, size](void* q) {
            live_ -= size;
            give_memory(stream_, q);
          }};
}

void Arena::add_block(std::size_t bytes) {
  const std::size_t size = std::max({bytes, kMinBlock, round_up(reserved_bytes() / 4)});
  void* const p = take_memory(stream_, size);
  blocks_.push_back({static_cast<char*>(p), size, {{0, size}}});
  guard([&](auto s) { kernels::forbid(s, p, size); });
  ++system_allocations_;
}

void Arena::give_back(char* p, std::size_t bytes) {
  guard([&](auto s) { kernels::forbid(s, p, bytes); });
  live_ -= bytes;
  const auto owner = std::ranges::find_if(
      blocks_, [&](const Block& b) { return p >= b.base && p < b.base + b.size; });
  auto& free = owner->free;
  auto [hole, fresh] = free.emplace(std::size_t(p - owner->base), bytes);
  if (const auto next = std::next(hole); next != free.end() && hole->first + bytes == next->first) {
    hole->second += next->second;
    free.erase(next);
  }
  if (hole != free.begin()) {
    if (const auto prev = std::prev(hole); prev->first + prev->second == hole->first) {
      prev->second += hole->second;
      free.erase(hole);
    }
  }
}

void Arena::consolidate() {
  if (live_ != 0 || blocks_.size() < 2) return;
  const std::size_t size = reserved_bytes();
  release_blocks();
  add_block(size);
}

std::size_t Arena::reserved_bytes() const {
  std::size_t total = memory_ == Memory::separate ? live_ : 0;
  for (const Block& b : blocks_) total += b.size;
  return total;
}

void Arena::release_blocks() {
  for (const Block& b : blocks_) {
    guard([&](auto s) { kernels::permit(s, b.base, b.size); });
    give_memory(stream_, b.base);
  }
  blocks_.clear();
}

}  // namespace haze::engine
