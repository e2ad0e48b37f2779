// SPDX-License-Identifier: MIT
// builtins.h — CUDA's built-in functions for the host compiler: barriers, shuffles, votes, atomics
// and the handful of intrinsics that haze's kernels use. Each takes, as last argument, the place it
// is called from.
#pragma once
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <type_traits>

#include "kernels/simt/emulator/device_ids.h"
#include "kernels/simt/emulator/emulator.h"
#include "kernels/simt/emulator/observer.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define HAZE_DEVICE inline __attribute__((always_inline))

#define HAZE_SHARED(T, name)                                                     \
  static char haze_key_of_##name;                                                \
  using haze_type_of_##name = typename ::haze::simt::Type<T>::type;              \
  auto& name = *static_cast<haze_type_of_##name*>(::haze::simt::shared_variable( \
      &haze_key_of_##name, sizeof(haze_type_of_##name), alignof(haze_type_of_##name)))
#define HAZE_DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(::haze::simt::dynamic_shared())

namespace haze::simt {

template <class T>
struct Type {
  using type = T;
};

/// A vector access: at an address that is no multiple of its size it ends the run.
HAZE_DEVICE void check_vector(const void* p, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(p) % bytes != 0) [[unlikely]]
    fail("a vector access of %zu bytes to a misaligned address, %p", bytes, p);
}

template <class T>
struct Shuffle {
  T in, out;
  int from;
};
/// Everybody gets the value of lane `from`.
template <class T>
T shuffle(const char* what, unsigned mask, T value, int from, Site site) {
  static_assert(std::is_trivially_copyable_v<T>);
  Shuffle<T> mine{value, value, from};
  warp_collective(mask, what, site, &mine, [](void* const* all, std::uint32_t lanes) {
    for (std::uint32_t rest = lanes; rest; rest &= rest - 1) {
      const int lane = std::countr_zero(rest);
      auto& me = *static_cast<Shuffle<T>*>(all[lane]);
      if (!(lanes >> me.from & 1))
        fail("shuffle: lane %d reads lane %d, which does not take part (lanes %08x)", lane, me.from,
             lanes);
      me.out = static_cast<Shuffle<T>*>(all[me.from])->in;
    }
  });
  return mine.out;
}

/// A vote or a reduction: every lane gets the lanes' values combined.
template <class Operator, class T>
T warp_reduce(const char* what, unsigned mask, T value, Site site) {
  warp_collective(mask, what, site, &value, [](void* const* all, std::uint32_t lanes) {
    T total = *static_cast<T*>(all[std::countr_zero(lanes)]);
    for (std::uint32_t rest = lanes & (lanes - 1); rest; rest &= rest - 1)
      total = Operator()(total, *static_cast<T*>(all[std::countr_zero(rest)]));
    for (std::uint32_t rest = lanes; rest; rest &= rest - 1)
      *static_cast<T*>(all[std::countr_zero(rest)]) = total;
  });
  return value;
}

/// For __syncthreads_count and its like: the sum of `value` over the block.
int block_sum(int value, const char* what, Site site);

}  // namespace haze::simt

using haze::simt::Site;

// ---- barriers
// -------------------------------------------------------------------------------------
static inline void __syncthreads(Site s = Site::here()) {
  haze::simt::block_barrier(0, 0, "__syncthreads", s);
}
static inline int __syncthreads_count(int p, Site s = Site::here()) {
  return haze::simt::block_sum(p != 0, "__syncthreads_count", s);
}
static inline int __syncthreads_or(int p, Site s = Site::here()) {
  return haze::simt::block_sum(p != 0, "__syncthreads_or", s) != 0;
}
static inline int __syncthreads_and(int p, Site s = Site::here()) {
  return haze::simt::block_sum(p == 0, "__syncthreads_and", s) == 0;
}
static inline void __syncwarp(unsigned mask = ~0u, Site s = Site::here()) {
  haze::simt::warp_collective(
      mask, "__syncwarp", s, nullptr, [](void* const*, std::uint32_t) {},
      haze::simt::Ordering::memory);
}
static inline void __threadfence_block() {}  // the emulator is sequentially consistent
static inline void __threadfence() {
  if (haze::simt::observer()) haze::simt::observer()->fence();
}

// ---- shuffles and votes
// -----------------------------------------------------------------------------
template <class T>
T __shfl_sync(unsigned mask, T v, int from, int width = 32, Site s = Site::here()) {
  const int lane = haze::simt::current_thread().lane;
  return haze::simt::shuffle("__shfl_sync", mask, v, lane / width * width + (from & (width - 1)),
                             s);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int lanes, int width = 32, Site s = Site::here()) {
  const int lane = haze::simt::current_thread().lane, from = lane ^ lanes;
  return haze::simt::shuffle("__shfl_xor_sync", mask, v, from / width > lane / width ? lane : from,
                             s);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32, Site s = Site::here()) {
  const int lane = haze::simt::current_thread().lane;
  return haze::simt::shuffle("__shfl_up_sync", mask, v,
                             lane % width < int(by) ? lane : lane - int(by), s);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32, Site s = Site::here()) {
  const int lane = haze::simt::current_thread().lane;
  return haze::simt::shuffle("__shfl_down_sync", mask, v,
                             lane % width + int(by) >= width ? lane : lane + int(by), s);
}
static inline unsigned __ballot_sync(unsigned mask, int p, Site s = Site::here()) {
  const unsigned bit = unsigned(p != 0) << haze::simt::current_thread().lane;
  return haze::simt::warp_reduce<std::bit_or<>>("__ballot_sync", mask, bit, s);
}
static inline int __any_sync(unsigned mask, int p, Site s = Site::here()) {
  return haze::simt::warp_reduce<std::bit_or<>>("__any_sync", mask, int(p != 0), s);
}
static inline int __all_sync(unsigned mask, int p, Site s = Site::here()) {
  return haze::simt::warp_reduce<std::bit_and<>>("__all_sync", mask, int(p != 0), s);
}
static inline unsigned __reduce_add_sync(unsigned mask, unsigned v, Site s = Site::here()) {
  return haze::simt::warp_reduce<std::plus<>>("__reduce_add_sync", mask, v, s);
}

// ---- atomics: on integers; haze adds no floats in an order that may change
// ----------------------------- Uninstrumented, because they report themselves; noinline, so that
// their caller has an address.
#define HAZE_ATOMIC(name, result)                                                               \
  template <class T, class U>                                                                   \
  [[gnu::noinline]] __attribute__((no_sanitize("thread"))) T name(T* p, U value) {              \
    static_assert(std::is_integral_v<T>, #name " of a float adds in an order that may change"); \
    if (haze::simt::observer())                                                                 \
      haze::simt::observer()->access(p, sizeof(T), haze::simt::Access::atomic,                  \
                                     __builtin_return_address(0));                              \
    const T old = *p, v = T(value);                                                             \
    *p = result;                                                                                \
    haze::simt::preemption_point();                                                             \
    return old;                                                                                 \
  }
HAZE_ATOMIC(atomicAdd, T(old + v))
HAZE_ATOMIC(atomicMax, (old < v ? v : old))
HAZE_ATOMIC(atomicMin, (v < old ? v : old))
HAZE_ATOMIC(atomicOr, T(old | v))
HAZE_ATOMIC(atomicAnd, T(old& v))
HAZE_ATOMIC(atomicExch, v)
HAZE_ATOMIC(atomicInc, (old >= v ? T(0) : T(old + 1)))
#undef HAZE_ATOMIC
template <class T>
[[gnu::noinline]] __attribute__((no_sanitize("thread"))) T atomicCAS(T* p, T expected, T value) {
  static_assert(std::is_integral_v<T>);
  if (haze::simt::observer())
    haze::simt::observer()->access(p, sizeof(T), haze::simt::Access::atomic,
                                   __builtin_return_address(0));
  const T old = *p;
  if (old == expected) *p = value;
  haze::simt::preemption_point();
  return old;
}

// ---- loads, arithmetic and bits
// -------------------------------------------------------------------------
template <class T>
HAZE_DEVICE T __ldg(const T* p) {
  return *p;
}
template <class T>
HAZE_DEVICE T __ldcs(const T* p) {
  return *p;
}
template <class T>
HAZE_DEVICE void __stcs(T* p, T v) {
  *p = v;
}
// glibc declares functions of these names, so they are macros here.
#define __expf(x) std::exp(float(x))
#define __logf(x) std::log(float(x))
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __frsqrt_rn(float x) { return 1.0f / std::sqrt(x); }
static inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
static inline int __popc(unsigned x) { return std::popcount(x); }
static inline int __clz(int x) { return std::countl_zero(unsigned(x)); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline unsigned __brev(unsigned x) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (x >> i & 1u) << (31 - i);
  return r;
}
static inline unsigned __umulhi(unsigned a, unsigned b) {
  return unsigned((std::uint64_t(a) * b) >> 32);
}
static inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
static inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
static inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
static inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
