// SPDX-License-Identifier: MIT
// async_copy.cpp — cp.async and its groups.
#include <cstring>

#include "kernels/simt/emulator/block.h"
#include "kernels/simt/emulator/observer.h"
#include "kernels/simt/emulator/twins.h"

namespace haze {
namespace simt {
namespace {

void carry_out(const PendingCopy& c) {
  if (c.from_global) std::memcpy(c.shared, c.global, c.from_global);
  std::memset(static_cast<char*>(c.shared) + c.from_global, 0, c.bytes - c.from_global);
}

void issue(void* shared, const void* global, unsigned bytes, int from_global, const void* pc,
           Site site) {
  const auto mask = std::uintptr_t{bytes} - 1;
  if (!is_shared(shared))
    fail("cp.async at %s: the destination is not shared memory", text_of(site).c_str());
  if (from_global < 0 || unsigned(from_global) > bytes)
    fail("cp.async at %s: %d of %u bytes", text_of(site).c_str(), from_global, bytes);
  if ((reinterpret_cast<std::uintptr_t>(shared) & mask) ||
      (from_global && (reinterpret_cast<std::uintptr_t>(global) & mask)))
    fail("cp.async of %u bytes at %s: misaligned address", bytes, text_of(site).c_str());
  PendingCopy copy{shared, global, bytes, unsigned(from_global), 0};
  if (Observer* o = observer()) {  // the copy's own accesses, ordered only by the wait
    copy.agent = o->fork_agent();
    o->become_agent(copy.agent);
    o->access(shared, bytes, Access::write, pc);
    if (from_global) o->access(global, unsigned(from_global), Access::read, pc);
    o->become_agent(0);
  }
  const bool early = config().schedule.order == Order::random && (schedule_bits() & 1);
  if (early)
    carry_out(copy);
  else
    std::memset(shared, 0xff, bytes);
  current->copies.open.push_back(copy);
}

}  // namespace

void leave_copies(const Thread& thread) {
  if (!thread.copies.empty())
    fail("the thread returned with cp.async copies under way (no wait covers them)");
}

}  // namespace simt

namespace ptx {

void cp_async16(void* shared, const void* global, int from_global, Site s) {
  simt::issue(shared, global, 16, from_global, __builtin_return_address(0), s);
}
void cp_async8(void* shared, const void* global, int from_global, Site s) {
  simt::issue(shared, global, 8, from_global, __builtin_return_address(0), s);
}
void cp_async4(void* shared, const void* global, int from_global, Site s) {
  simt::issue(shared, global, 4, from_global, __builtin_return_address(0), s);
}

void cp_async_commit() {
  simt::CopyGroups& copies = simt::current->copies;
  copies.committed.push_back(std::move(copies.open));
  copies.open.clear();
}

void cp_async_wait_groups(int still_open) {
  simt::CopyGroups& copies = simt::current->copies;
  while (int(copies.committed.size()) > still_open) {
    for (const simt::PendingCopy& c : copies.committed.front()) {
      simt::carry_out(c);
      if (simt::observer()) simt::observer()->join_agent(c.agent);
    }
    copies.committed.pop_front();
  }
}

}  // namespace ptx
}  // namespace haze
