// SPDX-License-Identifier: MIT
#include "kernels/simt/trace/trace.h"

#include <algorithm>
#include <map>

#include "kernels/base/check.h"
#include "kernels/simt/trace/symbols.h"
#include "kernels/simt/trace/tracer.h"

namespace haze::simt {
namespace {

std::map<const void*, std::string> lines_of_all(const Tracer& t) {
  std::vector<const void*> addresses;
  for (unsigned i = 0; i < t.instructions.sites(); ++i)
    addresses.push_back(t.instructions.site(i).pc);
  return lines_of(addresses);
}

std::string who(unsigned thread, bool copy, unsigned block, bool name_block) {
  return cat(copy ? "the asynchronous copy of thread " : "thread ", thread,
             name_block ? cat(" of block ", block) : "");
}

std::string text_of(const FindingKey& key, const RawFinding& f, const std::string& earlier) {
  const char* does[] = {"reads", "writes", "changes atomically"};
  const char* did[] = {"read", "wrote", "changed atomically"};
  const bool between = key.mistake == Mistake::race_between_blocks;
  const std::string now =
      cat(who(f.thread, f.by_copy, f.block, true), " ", does[int(f.access)], " ", f.place);
  if (key.other_site == kSites) return cat(now, ", which nobody has written");
  std::string text =
      cat(now, ", which ", who(f.other_thread, f.other_by_copy, f.other_block, between), " ",
          did[int(f.other_access)], " at ", earlier);
  if (f.by_copy || f.other_by_copy)
    text += "; no cp_async_wait and barrier between";
  else if (between)
    text += "; no __threadfence and atomic between";
  else
    text += f.thread / 32 == f.other_thread / 32 ? "; no __syncwarp or barrier between (one warp)"
                                                 : "; no barrier between";
  return text;
}

}  // namespace

const char* name_of(Mistake m) {
  switch (m) {
    case Mistake::shared_race:
      return "race on shared memory";
    case Mistake::global_race:
      return "race on device memory";
    case Mistake::race_between_blocks:
      return "race between blocks";
    case Mistake::uninitialised_shared:
      return "read of uninitialised shared memory";
    case Mistake::uninitialised_global:
      return "read of uninitialised device memory";
  }
  return "?";
}

Trace::Trace() : tracer_(std::make_unique<Tracer>()) {}
Trace::~Trace() = default;

void Trace::name(const void* p, std::size_t bytes, const std::string& name) {
  tracer_->buffers.name(static_cast<const char*>(p), bytes, name);
}
void Trace::uninitialised(const void* p, std::size_t bytes) {
  tracer_->buffers.written(static_cast<const char*>(p), bytes, false);
}

std::vector<Finding> Trace::findings() const {
  std::vector<Finding> all;
  if (tracer_->findings.empty()) return all;
  const auto lines = lines_of_all(*tracer_);
  const auto line = [&](unsigned site) {
    return site == kSites ? std::string() : lines.at(tracer_->instructions.site(site).pc);
  };
  for (const auto& [key, raw] : tracer_->findings) {
    Finding f{
        key.mistake, tracer_->records[key.record].kernel, line(key.site), line(key.other_site), {},
        raw.count};
    const auto same = std::ranges::find_if(all, [&](const Finding& g) {
      return g.mistake == f.mistake && g.kernel == f.kernel && g.where == f.where &&
             g.earlier == f.earlier;
    });
    if (same != all.end()) {
      same->count += raw.count;
      continue;
    }
    f.text = text_of(key, raw, f.earlier);
    all.push_back(f);
  }
  return all;
}

BufferTraffic Trace::buffer(const void* p) const {
  const BufferPart* part = tracer_->buffers.find(static_cast<const char*>(p));
  return part ? part->total : BufferTraffic{};
}

std::vector<BufferTraffic> Trace::buffers() const {
  std::vector<BufferTraffic> all;
  for (const BufferPart& part : tracer_->buffers.parts()) all.push_back(part.total);
  return all;
}

namespace {
void merge(std::vector<Line>& all, const Line& line) {
  const auto same = std::ranges::find_if(all, [&](const Line& l) {
    return l.kernel == line.kernel && l.where == line.where && l.space == line.space &&
           l.what == line.what && l.bytes == line.bytes;
  });
  if (same == all.end()) {
    all.push_back(line);
    return;
  }
  same->instructions += line.instructions;
  same->transactions += line.transactions;
  same->ideal += line.ideal;
  same->worst = std::max(same->worst, line.worst);
}
}  // namespace

std::vector<std::vector<Line>> Trace::lines_by_record() const {
  const auto names = lines_of_all(*tracer_);
  std::vector<std::vector<Line>> all;
  for (const LaunchRecord& r : tracer_->records) {
    all.emplace_back();
    for (const auto& [site, cost] : r.sites) {
      const AccessSite& s = tracer_->instructions.site(site);
      const char* kinds[] = {"load", "store", "atomic"};
      const char* what = s.by == By::copy       ? "cp.async"
                         : s.by == By::ldmatrix ? "ldmatrix"
                                                : kinds[int(s.kind)];
      merge(all.back(), {r.kernel, names.at(s.pc), s.space, what, s.bytes, cost.instructions,
                         cost.transactions, cost.ideal, cost.worst});
    }
  }
  return all;
}

std::vector<Line> Trace::lines() const {
  std::vector<Line> all;
  for (const auto& record : lines_by_record())
    for (const Line& line : record) merge(all, line);
  return all;
}

namespace {
std::uint64_t excess(const Tracer& t, Space space) {
  std::uint64_t sum = 0;
  for (const LaunchRecord& r : t.records)
    for (const auto& [site, cost] : r.sites)
      if (t.instructions.site(site).space == space) sum += cost.transactions - cost.ideal;
  return sum;
}
}  // namespace

std::uint64_t Trace::conflicts() const { return excess(*tracer_, Space::shared); }
std::uint64_t Trace::excess_sectors() const { return excess(*tracer_, Space::global); }
std::uint64_t Trace::mma() const {
  std::uint64_t sum = 0;
  for (const LaunchRecord& r : tracer_->records) sum += r.mma;
  return sum;
}
std::uint64_t Trace::launches() const {
  std::uint64_t sum = 0;
  for (const LaunchRecord& r : tracer_->records) sum += r.count;
  return sum;
}

Tracing::Tracing(Trace& trace) {
  HAZE_CHECK(!observer(), "one trace at a time");
  trace.tracer_->buffers.resume();
  observer() = trace.tracer_.get();
}
Tracing::~Tracing() { observer() = nullptr; }

}  // namespace haze::simt
