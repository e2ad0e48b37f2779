// SPDX-License-Identifier: MIT
// entry_points.cpp — what -fsanitize=thread makes the traced kernels call. The program is linked
// without that flag, so there is no ThreadSanitizer in it: these functions take its place and hand
// every load and store to the observer.
#include "kernels/simt/emulator/observer.h"

namespace {

using haze::simt::Access;

inline void report(void* p, unsigned bytes, Access kind, const void* pc) {
  if (haze::simt::Observer* o = haze::simt::observer()) o->access(p, bytes, kind, pc);
}

/// Copies of structs of other sizes: word by word, as the device would.
inline void report_range(void* p, unsigned long bytes, Access kind, const void* pc) {
  if (!haze::simt::observer()) return;
  auto* at = static_cast<char*>(p);
  for (const unsigned step = bytes % 4 == 0   ? 4
                             : bytes % 2 == 0 ? 2
                                              : 1;
       bytes > 0; bytes -= step) {
    report(at, step, kind, pc);
    at += step;
  }
}

}  // namespace

#define HAZE_PC __builtin_extract_return_addr(__builtin_return_address(0))
#define HAZE_ENTRY(name, bytes)                                                         \
  void __tsan_##name##read##bytes(void* p) { report(p, bytes, Access::read, HAZE_PC); } \
  void __tsan_##name##write##bytes(void* p) { report(p, bytes, Access::write, HAZE_PC); }
#define HAZE_ENTRIES(name) \
  HAZE_ENTRY(name, 1)      \
  HAZE_ENTRY(name, 2) HAZE_ENTRY(name, 4) HAZE_ENTRY(name, 8) HAZE_ENTRY(name, 16)

extern "C" {

HAZE_ENTRIES()
HAZE_ENTRIES(unaligned_)
HAZE_ENTRIES(volatile_)
void __tsan_read_range(void* p, unsigned long n) { report_range(p, n, Access::read, HAZE_PC); }
void __tsan_write_range(void* p, unsigned long n) { report_range(p, n, Access::write, HAZE_PC); }

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

// Atomics of host code that happens to be instrumented; kernels use the emulator's.
#define HAZE_HOST_ATOMICS(bits, T)                                                            \
  T __tsan_atomic##bits##_load(const volatile T* p, int) {                                    \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                              \
  }                                                                                           \
  void __tsan_atomic##bits##_store(volatile T* p, T v, int) {                                 \
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                 \
  }                                                                                           \
  T __tsan_atomic##bits##_exchange(volatile T* p, T v, int) {                                 \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                       \
  }                                                                                           \
  T __tsan_atomic##bits##_fetch_add(volatile T* p, T v, int) {                                \
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                        \
  }                                                                                           \
  T __tsan_atomic##bits##_fetch_sub(volatile T* p, T v, int) {                                \
    return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);                                        \
  }                                                                                           \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* old, T v, int, int) {   \
    return __atomic_compare_exchange_n(p, old, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }
HAZE_HOST_ATOMICS(8, unsigned char)
HAZE_HOST_ATOMICS(32, unsigned)
HAZE_HOST_ATOMICS(64, unsigned long)

}  // extern "C"
