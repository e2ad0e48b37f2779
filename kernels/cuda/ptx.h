// SPDX-License-Identifier: MIT
// ptx.h — the only file with inline PTX: one wrapper per instruction, with the meaning given here.
// Under a host compiler the wrappers are their twins in emulator/twins.h; tests/simt holds the
// twins against the tables of the PTX ISA, scripts/gpu-check the wrappers against the twins.
//
//   cp_async16(shared, global, n)   copies n of 16 bytes, fills the rest with 0; both 16-byte
//                                   aligned (cp_async8, cp_async4: of 8, of 4 bytes)
//   cp_async_commit, _wait<N>       closes a group; waits until at most the N newest are under way
//   ldmatrix_x4(r, row)             four 8x8 matrices of 16-bit elements; lane i gives the address
//                                   of row i%8 of matrix i/8, and gets elements (i/4, 2(i%4)) and
//                                   (i/4, 2(i%4)+1) of matrix k in r[k]; _trans: of its transpose;
//                                   _x2: two matrices, by the addresses of lanes 0 to 15
//   mma_m16n8k16_bf16(c, a, b0, b1) C[16,8] += A[16,16] B[16,8], f32 sums. With g = lane/4 and
//                                   t = 2(lane%4): a = A(g,t..) A(g+8,t..) A(g,t+8..) A(g+8,t+8..),
//                                   b = B(t..,g) B(t+8..,g), c = C(g,t) C(g,t+1) C(g+8,t)
//                                   C(g+8,t+1)
//   mma_m16n8k8_tf32(c, a, b0, b1)  C[16,8] += A[16,8] B[8,8]; with t = lane%4:
//                                   a = A(g,t) A(g+8,t) A(g,t+4) A(g+8,t+4), b = B(t,g) B(t+4,g)
//   to_tf32(x)                      the bits of x rounded to tf32
//   exp2_approx(x)                  2^x to 2 ulp, results below 2^-126 become 0
//   barrier_sync, barrier_arrive    named barrier `id` among `threads` of the block
#pragma once

#if !defined(__CUDACC__)
#include "kernels/simt/emulator/twins.h"
#else
#include <cstdint>

#include "kernels/cuda/simt.h"

namespace haze::ptx {

HAZE_DEVICE std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

HAZE_DEVICE void cp_async16(void* shared, const void* global, int from_global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
               "l"(global), "r"(from_global)
               : "memory");
}
HAZE_DEVICE void cp_async8(void* shared, const void* global, int from_global) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(shared)),
               "l"(global), "r"(from_global)
               : "memory");
}
HAZE_DEVICE void cp_async4(void* shared, const void* global, int from_global) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(shared)),
               "l"(global), "r"(from_global)
               : "memory");
}
HAZE_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int still_open>
HAZE_DEVICE void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(still_open) : "memory");
}

HAZE_DEVICE void ldmatrix_x4(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
HAZE_DEVICE void ldmatrix_x2(std::uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}
HAZE_DEVICE void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
HAZE_DEVICE void ldmatrix_x2_trans(std::uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}

HAZE_DEVICE void mma_m16n8k16_bf16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                   std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
HAZE_DEVICE void mma_m16n8k8_tf32(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                  std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
HAZE_DEVICE std::uint32_t to_tf32(float x) {
  std::uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
}

HAZE_DEVICE float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

HAZE_DEVICE void barrier_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
HAZE_DEVICE void barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace haze::ptx
#endif
