// SPDX-License-Identifier: MIT
// versions.h — earlier CUDA versions of the optimiser's kernels, kept to be read beside
// docs/kernels/diffusion.md, tested and measured; the engine uses adam.cu.
#pragma once
#include "kernels/adam/adam.h"
#include "kernels/base/stream.h"

namespace haze::kernels {

/// v1_one_block.cu. As global_norm's contract, without scratch.
void global_norm_v1(CudaStream stream, std::size_t n, const float* g, float* norm);

/// v1_unfused.cu. As adam_step's contract, coefficients by value; scratch is
/// adam_step_v1_scratch_bytes(n), for the clipped gradient and the norm's chunks.
void adam_step_v1(CudaStream stream, std::size_t n, const AdamStep& c, const AdamBuffers& b,
                  void* scratch, float* result);
constexpr std::size_t adam_step_v1_scratch_bytes(std::size_t n) {
  return (global_norm_scratch_bytes(n) + 127) / 128 * 128 + n * sizeof(float);
}

}  // namespace haze::kernels
