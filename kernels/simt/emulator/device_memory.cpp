// SPDX-License-Identifier: MIT
#include "kernels/simt/emulator/device_memory.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/simt/emulator/block.h"
#include "kernels/simt/emulator/device_ids.h"
#include "kernels/simt/emulator/observer.h"

namespace haze::simt {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kPages = false;  // the heap, for its red zones
#else
constexpr bool kPages = true;
#endif
constexpr std::size_t kPage = 4096;

struct Region {
  std::size_t bytes;  // asked for
  char* mapping;      // with a closed page on both sides
  std::size_t mapped;
};
std::map<const char*, Region>& regions() {
  static auto* const all = new std::map<const char*, Region>;  // outlives static device buffers
  return *all;
}
std::size_t in_use;
int openers;
bool is_open = false;

void protect(const Region& r, int mode) {
  if (kPages) ::mprotect(r.mapping + kPage, r.mapped - 2 * kPage, mode);
}

/// A fault: says which thread of which kernel it was, or that the host touched device memory, and
/// dies of it.
void on_fault(int signal, siginfo_t* info, void*) {
  char text[512];
  int n;
  if (current)
    n = std::snprintf(
        text, sizeof text,
        "haze: kernel %s block (%u,%u,%u) thread (%u,%u,%u) touched %p, outside every "
        "buffer (or ran out of stack)\n",
        kernel_name(), blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z,
        info->si_addr);
  else
    n = std::snprintf(text, sizeof text, "haze: the host touched %p%s\n", info->si_addr,
                      !current && is_device(info->si_addr) ? ", which is device memory" : "");
  if (::write(2, text, std::size_t(n)) < 0) {
  }
  std::signal(signal, SIG_DFL);
  ::raise(signal);
}

void install_fault_handler() {
  static bool done = false;
  if (done || !kPages) return;
  done = true;
  static char stack[64 * 1024];
  const stack_t alternate{stack, 0, sizeof stack};
  ::sigaltstack(&alternate, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigaction(SIGSEGV, &action, nullptr);
}

const std::pair<const char* const, Region>* region_of(const void* p) {
  auto& all = regions();
  auto next = all.upper_bound(static_cast<const char*>(p));
  if (next == all.begin()) return nullptr;
  const auto at = std::prev(next);
  return static_cast<const char*>(p) <= at->first + at->second.bytes ? &*at : nullptr;
}

}  // namespace

std::size_t& device_capacity() {
  static std::size_t bytes = [] {
    const char* set = std::getenv("HAZE_SIMT_MEMORY");
    if (!set) return std::size_t{16} << 30;
    std::size_t mib = 0;
    char more = 0;
    if (std::sscanf(set, "%zu%c", &mib, &more) == 1 && mib > 0 && mib < std::size_t{1} << 24)
      return mib << 20;
    throw InputError(cat("HAZE_SIMT_MEMORY=", set, "; a number of MiB, at least 1"));
  }();
  return bytes;
}
std::size_t device_bytes_in_use() { return in_use; }

void* device_allocate(std::size_t bytes) {
  install_fault_handler();
  if (bytes > device_capacity() || in_use > device_capacity() - bytes) return nullptr;
  const std::size_t size = (bytes + 255) / 256 * 256 + (bytes == 0 ? 256 : 0);
  Region r{bytes, nullptr, 0};
  char* p;
  if (kPages) {  // the end of the buffer lies against the closed page
    const std::size_t body = (size + kPage - 1) / kPage * kPage;
    r.mapped = body + 2 * kPage;
    void* m =
        ::mmap(nullptr, r.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED) return nullptr;
    r.mapping = static_cast<char*>(m);
    protect(r, PROT_READ | PROT_WRITE);
    p = r.mapping + kPage + (body - size);
    if (!config().rehearsal) std::memset(r.mapping + kPage, 0xff, body);
    if (!is_open) protect(r, PROT_NONE);
  } else {
    // Exactly the bytes asked for: the red zone begins right behind them.
    void* m = nullptr;
    if (::posix_memalign(&m, 256, bytes ? bytes : 1) != 0) return nullptr;
    p = r.mapping = static_cast<char*>(m);
    if (!config().rehearsal) std::memset(p, 0xff, bytes);
  }
  in_use += bytes;
  regions().emplace(p, r);
  if (observer()) observer()->allocated(p, bytes);
  return p;
}

bool device_free(void* p) {
  const auto at = regions().find(static_cast<const char*>(p));
  if (at == regions().end()) return false;
  if (observer()) observer()->freed(p);
  in_use -= at->second.bytes;
  if (kPages)
    ::munmap(at->second.mapping, at->second.mapped);
  else
    std::free(at->second.mapping);
  regions().erase(at);
  return true;
}

bool is_device(const void* p) { return region_of(p) != nullptr; }

bool device_allocation(const void* p, const void*& first, std::size_t& bytes) {
  const auto* r = region_of(p);
  if (!r) return false;
  first = r->first;
  bytes = r->second.bytes;
  return true;
}

void check_device_range(const void* p, std::size_t bytes, const char* what) {
  const auto* r = region_of(p);
  if (!r || static_cast<const char*>(p) + bytes > r->first + r->second.bytes)
    throw Error(cat(what, ": ", bytes, " bytes at ", p, " do not lie in one device allocation"));
}

DeviceMemoryOpen::DeviceMemoryOpen() {
  ++openers;
  if (is_open) return;
  for (const auto& [p, r] : regions()) protect(r, PROT_READ | PROT_WRITE);
  is_open = true;
}
DeviceMemoryOpen::~DeviceMemoryOpen() { --openers; }

void close_device_memory() {
  if (openers > 0 || !is_open) return;
  for (const auto& [p, r] : regions()) protect(r, PROT_NONE);
  is_open = false;
}

}  // namespace haze::simt
