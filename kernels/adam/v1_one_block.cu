// SPDX-License-Identifier: MIT
// v1_one_block.cu — the norm of all gradients in one launch: one block of 1024 threads.
//
// The idea: a sum over n needs every thread's part, and threads can meet only within a block
// (__syncthreads). So one block does it all: thread t adds elements t, t + 1024, ..., and the block
// adds its threads, in double, because squares of large gradients do not fit f32:
//
//      thread    0  1  2 .. 1023 │ 0  1  2 .. 1023 │ ...           32 lanes, by shuffles
//      g        [────────────────┼─────────────────┼────]    ─►    32 warps, through shared memory
//
// Neighbouring threads read neighbouring elements, so every sector is used whole: 4 bytes an
// element, read once, the least that a norm can cost.
//
// What is left to gain: one block lives on one SM of (H100) 132, and 1024 threads with a load each
// cannot have enough bytes under way to fill even that SM's share of the bandwidth. adam.cu lets a
// block of its own add each chunk of 65,536 gradients, and adds the chunks afterwards: a second
// launch, or, where the update follows anyway, no launch at all (docs/kernels/diffusion.md).
#include <cmath>

#include "kernels/adam/versions.h"
#include "kernels/cuda/vec.h"

namespace haze::kernels {
namespace {

constexpr int kThreads = 1024;

__global__ void __launch_bounds__(kThreads) one_block(std::size_t n, const float* g, float* norm) {
  HAZE_SHARED(double[32], partial);
  double sum = 0;
  for (std::size_t i = threadIdx.x; i < n; i += kThreads) sum += double(g[i]) * double(g[i]);
  sum = block_sum(sum, partial);
  if (threadIdx.x == 0) *norm = float(std::sqrt(sum));
}

}  // namespace

void global_norm_v1(CudaStream s, std::size_t n, const float* g, float* norm) {
  HAZE_LAUNCH(one_block, s, 1, kThreads, 0, n, g, norm);
}

}  // namespace haze::kernels
