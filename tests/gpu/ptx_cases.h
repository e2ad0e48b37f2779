// SPDX-License-Identifier: MIT
// ptx_cases.h — one small kernel per PTX wrapper. The same text is compiled for the GPU
// (ptx_on_device.cu) and for the emulator (ptx_conformance_test.cpp); the test holds one against
// the other on random inputs.
#pragma once
#include "kernels/cuda/simt.h"
// after simt.h
#include "kernels/cuda/ptx.h"

namespace haze::test {

constexpr int kPtxWords = 1024;  // of every case's input and output

namespace {  // both compilations of a kernel are linked into one program

/// Lane i hands in the address of row i, in an order that a mistake would show.
template <int matrices, bool transposed>
__global__ void __launch_bounds__(32) ptx_ldmatrix(const std::uint32_t* in, std::uint32_t* out) {
  HAZE_SHARED(std::uint32_t[32 * 4], rows);
  for (int i = int(threadIdx.x); i < 32 * 4; i += 32) rows[i] = in[i];
  __syncwarp();
  std::uint32_t r[matrices];
  const std::uint32_t* row = rows + (int(threadIdx.x) * 7 % 32) * 4;
  if constexpr (matrices == 4 && transposed) ptx::ldmatrix_x4_trans(r, row);
  if constexpr (matrices == 4 && !transposed) ptx::ldmatrix_x4(r, row);
  if constexpr (matrices == 2 && transposed) ptx::ldmatrix_x2_trans(r, row);
  if constexpr (matrices == 2 && !transposed) ptx::ldmatrix_x2(r, row);
  for (int m = 0; m < matrices; ++m) out[int(threadIdx.x) * matrices + m] = r[m];
}

/// Inputs as they come: 4 words of a, 2 of b, 4 of c per lane.
template <bool half>
__global__ void __launch_bounds__(32) ptx_mma(const std::uint32_t* in, std::uint32_t* out) {
  const std::uint32_t* mine = in + threadIdx.x * 10;
  const std::uint32_t a[4] = {mine[0], mine[1], mine[2], mine[3]};
  float c[4];
  for (int i = 0; i < 4; ++i) c[i] = __uint_as_float(mine[6 + i]);
  if constexpr (half)
    ptx::mma_m16n8k16_bf16(c, a, mine[4], mine[5]);
  else
    ptx::mma_m16n8k8_tf32(c, a, mine[4], mine[5]);
  for (int i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = __float_as_uint(c[i]);
}

__global__ void __launch_bounds__(32) ptx_to_tf32(const std::uint32_t* in, std::uint32_t* out) {
  for (int i = int(threadIdx.x); i < kPtxWords; i += 32)
    out[i] = ptx::to_tf32(__uint_as_float(in[i]));
}

__global__ void __launch_bounds__(32) ptx_exp2(const std::uint32_t* in, std::uint32_t* out) {
  for (int i = int(threadIdx.x); i < kPtxWords; i += 32)
    out[i] = __float_as_uint(ptx::exp2_approx(16 * __uint_as_float(in[i])));
}

/// Two groups in flight; the partial copies fill with zeros.
template <int bytes>
__global__ void __launch_bounds__(32) ptx_cp_async(const std::uint32_t* in, std::uint32_t* out) {
  HAZE_SHARED(std::uint32_t[2 * 32 * 4], stage);
  constexpr int words = bytes / 4;
  std::uint32_t* first = stage + threadIdx.x * words;
  std::uint32_t* second = first + 32 * 4;
  const auto copy = [&](std::uint32_t* to, const std::uint32_t* from, int n) {
    if constexpr (bytes == 16) ptx::cp_async16(to, from, n);
    if constexpr (bytes == 8) ptx::cp_async8(to, from, n);
    if constexpr (bytes == 4) ptx::cp_async4(to, from, n);
  };
  copy(first, in + threadIdx.x * words, bytes);
  ptx::cp_async_commit();
  copy(second, in + 256 + threadIdx.x * words, threadIdx.x % 3 == 0 ? bytes : 0);
  ptx::cp_async_commit();
  ptx::cp_async_wait<1>();
  __syncthreads();
  for (int w = 0; w < words; ++w) out[threadIdx.x * words + w] = first[w];
  ptx::cp_async_wait<0>();
  __syncthreads();
  for (int w = 0; w < words; ++w) out[256 + threadIdx.x * words + w] = second[w];
}

/// Arrays of single bytes, of sizes that would leave the next one anywhere: all 16-byte aligned.
__global__ void __launch_bounds__(32) shared_arrays(const std::uint32_t* in, std::uint32_t* out) {
  HAZE_SHARED(unsigned char[33], first);
  HAZE_SHARED(unsigned char[35], second);
  HAZE_SHARED(std::uint16_t[33], third);
  const auto lane = threadIdx.x;
  first[lane] = second[lane] = (unsigned char)in[lane];
  third[lane] = std::uint16_t(in[lane]);
  __syncwarp();
  out[lane] = first[31 - lane] + 3u * second[31 - lane] + 5u * third[31 - lane];
  out[32 + lane] = unsigned(reinterpret_cast<std::uintptr_t>(first) % 16 +
                            reinterpret_cast<std::uintptr_t>(second) % 16 +
                            reinterpret_cast<std::uintptr_t>(third) % 16);
}

/// Warp 1 hands values to warp 0 through a named barrier at which it does not wait.
__global__ void __launch_bounds__(64) ptx_barrier(const std::uint32_t* in, std::uint32_t* out) {
  HAZE_SHARED(std::uint32_t[32], box);
  if (threadIdx.x >= 32) {
    box[threadIdx.x - 32] = in[threadIdx.x] * 3u;
    ptx::barrier_arrive(1, 64);
  } else {
    ptx::barrier_sync(1, 64);
    out[threadIdx.x] = box[31 - threadIdx.x];
  }
}

}  // namespace

struct PtxCase {
  const char* name;
  void (*kernel)(const std::uint32_t*, std::uint32_t*);
  int threads;
  enum Input { bits, bf16_pairs, floats } input;
  double tolerance;  // relative, of f32 results; 0: the same bits
};

/// mma: products of 8-bit (bf16) and 11-bit (tf32) mantissas are exact in f32; hardware may
/// truncate each of up to 17 aligned summands where the twin rounds.
static const PtxCase kPtxCases[] = {
    {"ldmatrix.x4", ptx_ldmatrix<4, false>, 32, PtxCase::bits, 0},
    {"ldmatrix.x2", ptx_ldmatrix<2, false>, 32, PtxCase::bits, 0},
    {"ldmatrix.x4.trans", ptx_ldmatrix<4, true>, 32, PtxCase::bits, 0},
    {"ldmatrix.x2.trans", ptx_ldmatrix<2, true>, 32, PtxCase::bits, 0},
    {"mma.m16n8k16.bf16", ptx_mma<true>, 32, PtxCase::bf16_pairs, 34 * 0x1p-23},
    {"mma.m16n8k8.tf32", ptx_mma<false>, 32, PtxCase::floats, 18 * 0x1p-23},
    {"cvt.rna.tf32.f32", ptx_to_tf32, 32, PtxCase::floats, 0},
    {"ex2.approx.ftz.f32", ptx_exp2, 32, PtxCase::floats, 4 * 0x1p-23},
    {"cp.async.cg 16", ptx_cp_async<16>, 32, PtxCase::bits, 0},
    {"cp.async.ca 8", ptx_cp_async<8>, 32, PtxCase::bits, 0},
    {"cp.async.ca 4", ptx_cp_async<4>, 32, PtxCase::bits, 0},
    {"shared arrays", shared_arrays, 32, PtxCase::bits, 0},
    {"bar.sync, bar.arrive", ptx_barrier, 64, PtxCase::bits, 0},
};
constexpr int kPtxCaseCount = int(sizeof(kPtxCases) / sizeof(PtxCase));

/// ptx_on_device.cu: runs case number `index` on the CUDA backend of this build.
void run_ptx_case(int index, const std::uint32_t* in, std::uint32_t* out);

}  // namespace haze::test
