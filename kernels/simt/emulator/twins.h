// SPDX-License-Identifier: MIT
// twins.h — host twins of the PTX wrappers in ptx.h: the same meaning, from the PTX ISA's tables.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/simt/emulator/emulator.h"

namespace haze::ptx {
using simt::Site;

// ---- cp.async: the copy is done at the wait that covers it, or at issue if the schedule says so;
// in between the destination holds NaN bits
// ------------------------------------------------------------
[[gnu::noinline]] void cp_async16(void* shared, const void* global, int from_global,
                                  Site s = Site::here());
[[gnu::noinline]] void cp_async8(void* shared, const void* global, int from_global,
                                 Site s = Site::here());
[[gnu::noinline]] void cp_async4(void* shared, const void* global, int from_global,
                                 Site s = Site::here());
void cp_async_commit();
void cp_async_wait_groups(int still_open);
template <int still_open>
void cp_async_wait() {
  cp_async_wait_groups(still_open);
}

// ---- ldmatrix and mma.sync: all 32 lanes meet
// ---------------------------------------------------------
namespace twin {
enum class Numbers { bf16, tf32 };
[[gnu::noinline]] void ldmatrix(std::uint32_t* r, int matrices, bool transposed, const void* row,
                                const void* pc, Site s);
void mma(float* c, const std::uint32_t* a, const std::uint32_t* b, Numbers numbers, Site s);
}  // namespace twin

// Macros of four functions: each must pass on its own caller's address for the trace.
#define HAZE_LDMATRIX(name, n, transposed)                                   \
  [[gnu::noinline]] inline __attribute__((no_sanitize("thread"))) void name( \
      std::uint32_t(&r)[n], const void* row, Site s = Site::here()) {        \
    twin::ldmatrix(r, n, transposed, row, __builtin_return_address(0), s);   \
  }
HAZE_LDMATRIX(ldmatrix_x4, 4, false)
HAZE_LDMATRIX(ldmatrix_x2, 2, false)
HAZE_LDMATRIX(ldmatrix_x4_trans, 4, true)
HAZE_LDMATRIX(ldmatrix_x2_trans, 2, true)
#undef HAZE_LDMATRIX

inline void mma_m16n8k16_bf16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                              std::uint32_t b1, Site s = Site::here()) {
  const std::uint32_t b[2] = {b0, b1};
  twin::mma(c, a, b, twin::Numbers::bf16, s);
}
inline void mma_m16n8k8_tf32(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                             std::uint32_t b1, Site s = Site::here()) {
  const std::uint32_t b[2] = {b0, b1};
  twin::mma(c, a, b, twin::Numbers::tf32, s);
}
/// Rounds to tf32 (10 bits of mantissa), to nearest, ties away from zero.
inline std::uint32_t to_tf32(float x) {
  const std::uint32_t u = std::bit_cast<std::uint32_t>(x);
  if ((u & 0x7f800000u) == 0x7f800000u) return u;
  return (u + 0x1000u) & ~0x1fffu;
}

/// Subnormal inputs and results are zero.
inline float exp2_approx(float x) {
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0.0f : y;
}

// ---- named barriers
// -----------------------------------------------------------------------------------
inline void barrier_sync(int id, int threads, Site s = Site::here()) {
  simt::block_barrier(id, threads, "bar.sync", s);
}
inline void barrier_arrive(int id, int threads, Site s = Site::here()) {
  simt::block_arrive(id, threads, "bar.arrive", s);
}

}  // namespace haze::ptx
