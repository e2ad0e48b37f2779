// SPDX-License-Identifier: MIT
// collectives.cpp — the meeting of a warp's lanes, on which shuffles, votes, __syncwarp, ldmatrix
// and mma are built.
#include <bit>
#include <cstring>

#include "kernels/simt/emulator/block.h"
#include "kernels/simt/emulator/observer.h"

namespace haze::simt {
namespace {

bool complete(const WarpMeeting& m, std::uint32_t exited) {
  return (m.arrived | exited) == (m.mask | exited);
}

void hold(WarpMeeting& m, int warp, const Thread* me) {
  ++counters().collectives;
  const std::uint32_t lanes = m.arrived;
  if (m.ordering == Ordering::memory && observer()) {
    std::uint16_t list[32];
    int n = 0;
    for (std::uint32_t rest = lanes; rest; rest &= rest - 1)
      list[n++] = std::uint16_t(warp * 32 + std::countr_zero(rest));
    observer()->synchronise(list, n);
  }
  m.combine(m.arguments, lanes);
  m.mask = m.arrived = 0;
  for (std::uint32_t rest = lanes; rest; rest &= rest - 1) {
    Thread& t = block.threads[std::size_t(warp * 32 + std::countr_zero(rest))];
    if (&t != me) wake(t);
  }
}

}  // namespace

void warp_collective(std::uint32_t mask, const char* what, Site site, void* argument,
                     Combine combine, Ordering ordering) {
  Thread& me = *current;
  Warp& warp = block.warps[me.warp];
  const int lanes = block.size - me.warp * 32;
  if (lanes < 32) mask &= (1u << lanes) - 1;  // the last warp may be partial
  const std::uint32_t bit = 1u << me.lane;
  if (!(mask & bit))
    fail("%s at %s: the calling lane, %d, is not in the mask %08x", what, text_of(site).c_str(),
         me.lane, mask);
  WarpMeeting* meeting = nullptr;
  for (WarpMeeting& m : warp.meetings)
    if (m.mask & mask) meeting = &m;
  if (meeting) {
    WarpMeeting& m = *meeting;
    if (m.mask != mask || std::strcmp(m.what, what) != 0 || !same_place(m.site, site)) {
      me.state = State::in_warp_collective;
      me.waits_in = what;
      me.site = site;
      fail(
          "divergent warp collective: lane %d is in %s at %s with mask %08x, lanes %08x wait in %s "
          "at %s with mask %08x%s",
          me.lane, what, text_of(site).c_str(), mask, m.arrived, m.what, text_of(m.site).c_str(),
          m.mask, describe_threads().c_str());
    }
  } else {
    for (WarpMeeting& m : warp.meetings)
      if (!m.mask) meeting = &m;
    if (!meeting) meeting = &warp.meetings.emplace_back();
    meeting->mask = mask;
    meeting->arrived = 0;
    meeting->what = what;
    meeting->site = site;
    meeting->combine = combine;
    meeting->ordering = ordering;
  }
  meeting->arguments[me.lane] = argument;
  meeting->arrived |= bit;
  if (complete(*meeting, warp.exited)) return hold(*meeting, me.warp, &me);
  wait(State::in_warp_collective, what, site);
}

void leave_warp(const Thread& thread) {
  Warp& warp = block.warps[thread.warp];
  warp.exited |= 1u << thread.lane;
  for (std::size_t i = 0; i < warp.meetings.size(); ++i)
    if (WarpMeeting& m = warp.meetings[i]; m.mask && complete(m, warp.exited))
      hold(m, thread.warp, &thread);
}

}  // namespace haze::simt
