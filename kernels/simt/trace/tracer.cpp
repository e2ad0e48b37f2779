// SPDX-License-Identifier: MIT
#include "kernels/simt/trace/tracer.h"

#include <algorithm>
#include <bit>

#include "kernels/base/check.h"
#include "kernels/simt/emulator/device_ids.h"

namespace haze::simt {
namespace {

bool same(const dim3& a, const dim3& b) { return a.x == b.x && a.y == b.y && a.z == b.z; }

/// "(swish<T, N>)", as HAZE_LAUNCH was given it.
std::string plain(std::string name) {
  if (name.starts_with('(') && name.ends_with(')')) name = name.substr(1, name.size() - 2);
  return name;
}

}  // namespace

Tracer::Tracer()
    : instructions([this](unsigned site, const WarpAccess& a) { executed(site, a); }) {}

void Tracer::launch_begin(const Launch& l) {
  const std::string kernel = plain(l.kernel);
  const auto at = std::ranges::find_if(records, [&](const LaunchRecord& r) {
    return r.kernel == kernel && r.entry == l.entry && same(r.grid, l.grid) &&
           same(r.block, l.block) && r.dynamic_shared == l.dynamic_shared;
  });
  record_ = unsigned(at - records.begin());
  if (at == records.end()) {
    LaunchRecord r;
    r.kernel = kernel;
    r.entry = l.entry;
    r.grid = l.grid;
    r.block = l.block;
    r.dynamic_shared = l.dynamic_shared;
    records.push_back(r);
  }
  ++launch_;
  before_ = counters();
  clocks_.begin_launch();
}

void Tracer::launch_end() {
  if (in_block_) instructions.begin_block(0);  // it failed: what the block left open goes
  in_block_ = false;
  LaunchRecord& r = records[record_];
  const std::uint64_t blocks = std::uint64_t(r.grid.x) * r.grid.y * r.grid.z;
  const std::uint64_t threads = std::uint64_t(r.block.x) * r.block.y * r.block.z;
  if (++r.count == 1) r.barriers = (counters().barriers - before_.barriers) / (blocks * threads);
  r.mma += counters().mma - before_.mma;
  for (unsigned i = 0; i < costs_.size(); ++i)
    if (costs_[i].instructions > 0) r.sites[i].add(costs_[i]);
  costs_.clear();
  const auto move = [](Traffic& from, Traffic& to) {
    to.requested += from.requested;
    to.unique += from.unique;
    to.sectors += from.sectors;
    to.ideal_sectors += from.ideal_sectors;
    from = {};
  };
  for (unsigned i = 0; i < buffers.parts().size(); ++i) {
    BufferPart& part = buffers.parts()[i];
    if (part.read.requested + part.written.requested == 0) continue;
    Traffic read = part.read, written = part.written;
    read.unique = written.unique = 0;  // of the total: counted as they come
    move(read, part.total.read);
    move(written, part.total.written);
    move(part.read, r.parts[i].read);
    move(part.written, r.parts[i].written);
  }
}

void Tracer::block_begin(int threads, const char* arena, std::size_t capacity) {
  if (!shared_ || capacity > capacity_) shared_ = std::make_unique<Cells>(capacity);
  arena_ = arena;
  capacity_ = capacity;
  block_ = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  clocks_.begin_block(threads, block_);
  instructions.begin_block(threads);
  copy_ = 0;
  by_ = By::thread;
  in_block_ = true;
}

void Tracer::block_end() {
  in_block_ = false;
  instructions.end_block();
}

void Tracer::access(const void* p, unsigned bytes, Access kind, const void* pc) {
  if (!in_block_) return;
  const auto* address = static_cast<const char*>(p);
  const auto offset = std::size_t(address - arena_);
  Allocation* a = nullptr;
  if (offset >= capacity_ && !(a = buffers.allocation(address))) return;  // the host's, or a stack
  const ThreadId me = current_thread();
  const unsigned site =
      instructions.site_of(pc, a ? Space::global : Space::shared, kind, bytes, by_);
  Slot now{};
  now.kind = unsigned(kind);
  now.site = site;
  now.time = copy_ ? copy_ : clocks_.now();
  now.agent = unsigned(me.linear) + (copy_ ? kCopiesOf : 0);
  if (kind == Access::atomic) clocks_.atomic(me.linear, p);
  if (a)
    global_access(*a, address, bytes, now, me.linear);
  else
    shared_access(offset, bytes, now, me.linear);
  instructions.add(site, me.warp, me.lane, a ? std::uintptr_t(address) : offset);
}

void Tracer::shared_access(std::size_t offset, unsigned bytes, const Slot& access, int thread) {
  Slot now = access;
  each_word(offset, bytes, [&](std::size_t word, unsigned mask) {
    Cell& c = (*shared_)[word];
    if (c.epoch != clocks_.block_start()) {
      c.epoch = clocks_.block_start();
      c.written = 0;
    }
    now.mask = mask;
    const auto place = [&] { return cat("byte ", word * 4, " of shared memory"); };
    if (now.access() != Access::write && (c.written & mask) != mask)
      found(Mistake::uninitialised_shared, now, {}, place());
    if (now.access() != Access::read) c.written |= std::uint8_t(mask);
    const Slot race = race_with(c, now, thread, clocks_.block_start(), clocks_);
    if (race.time) found(Mistake::shared_race, now, race, place());
  });
}

void Tracer::global_access(Allocation& a, const char* p, unsigned bytes, const Slot& access,
                           int thread) {
  Slot now = access;
  BufferPart& part = buffers.parts()[buffers.part_of(p)];
  const bool reads = now.access() == Access::read;
  (reads ? part.read : part.written).requested += bytes;
  each_word(std::size_t(p - a.first), bytes, [&](std::size_t word, unsigned mask) {
    Cell& c = a.cells[word];
    if (c.epoch != launch_) {
      c.epoch = launch_;
      c.read = c.stored = 0;
    }
    std::uint8_t& touched = reads ? c.read : c.stored;
    (reads ? part.read : part.written).unique += unsigned(std::popcount(mask & ~unsigned(touched)));
    touched |= std::uint8_t(mask);
    const unsigned ever = reads ? mask : mask << 4;
    (reads ? part.total.read : part.total.written).unique +=
        unsigned(std::popcount(ever & ~unsigned(c.ever)));
    c.ever |= std::uint8_t(ever);
    now.mask = mask;
    const auto place = [&] { return cat("byte ", p - part.first, " of ", part.total.name); };
    if (now.access() != Access::write && !a.is_written(c, mask))
      found(Mistake::uninitialised_global, now, {}, place());
    if (!reads) a.set_written(c, mask);
    const Slot race = race_with(c, now, thread, clocks_.launch_start(), clocks_);
    if (race.time)
      found(race.time > clocks_.block_start() ? Mistake::global_race : Mistake::race_between_blocks,
            now, race, place());
  });
}

void Tracer::found(Mistake mistake, const Slot& now, const Slot& earlier,
                   const std::string& place) {
  RawFinding& f = findings[{mistake, record_, now.site, earlier.time ? earlier.site : kSites}];
  if (++f.count > 1) return;
  f.thread = now.agent % kCopiesOf;
  f.by_copy = now.agent >= kCopiesOf;
  f.access = now.access();
  f.block = block_;
  f.other_thread = earlier.agent % kCopiesOf;
  f.other_by_copy = earlier.agent >= kCopiesOf;
  f.other_access = earlier.access();
  f.other_block = clocks_.block_at(earlier.time);
  f.place = place;
}

void Tracer::executed(unsigned site, const WarpAccess& access) {
  const AccessSite& s = instructions.site(site);
  const bool global = s.space == Space::global;
  const Transactions t = global ? sectors(access, s.bytes) : wavefronts(access, s.bytes);
  if (costs_.size() <= site) costs_.resize(site + 1);
  costs_[site].add(t.count, t.ideal);
  if (!global) return;
  // A warp may reach into several buffers at once: each is charged its own lanes' sectors.
  const auto part_of = [&](int lane) {
    return buffers.part_of(reinterpret_cast<const char*>(access.address[lane]));
  };
  for (std::uint32_t rest = access.lanes; rest;) {
    const unsigned index = part_of(std::countr_zero(rest));
    WarpAccess share = access;
    share.lanes = 0;
    for (std::uint32_t lanes = rest; lanes; lanes &= lanes - 1)
      if (part_of(std::countr_zero(lanes)) == index) share.lanes |= lanes & -lanes;
    rest &= ~share.lanes;
    const Transactions of = share.lanes == access.lanes ? t : sectors(share, s.bytes);
    BufferPart& part = buffers.parts()[index];
    Traffic& traffic = s.kind == Access::read ? part.read : part.written;
    traffic.sectors += of.count;
    traffic.ideal_sectors += of.ideal;
  }
}

}  // namespace haze::simt
