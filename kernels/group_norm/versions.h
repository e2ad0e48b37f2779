// SPDX-License-Identifier: MIT
// versions.h — earlier CUDA versions of group normalisation, a ladder of one
// idea each, kept to be read in order beside docs/kernels/group_norm.md,
// tested and measured; the engine uses forward.cu and backward.cu.
#pragma once
#include "kernels/base/stream.h"
#include "kernels/group_norm/group_norm.h"

namespace haze::kernels {

/// v1_naive.cu. As the contract in group_norm.h; scratch of backward is 2·n·c floats.
void group_norm_forward_v1(CudaStream stream, const GroupNormDims& d, ConstAct x,
                           const float* gamma, const float* beta, Act y, float* mean, float* rstd);
void group_norm_backward_v1(CudaStream stream, const GroupNormDims& d, ConstAct dy, ConstAct x,
                            const float* gamma, const float* beta, const float* mean,
                            const float* rstd, Grad dx, Grad dgamma, Grad dbeta, void* scratch);

/// v2_welford.cu: mean and variance in one pass, x read twice. Of one tensor (d.c2 is ignored).
void group_norm_forward_v2(CudaStream stream, const GroupNormDims& d, ConstAct x,
                           const float* gamma, const float* beta, Act y, float* mean, float* rstd);

/// v3_slab.cu: whole lines, kept in shared memory, x read once. Of one tensor (d.c2 is ignored).
void group_norm_forward_v3(CudaStream stream, const GroupNormDims& d, ConstAct x,
                           const float* gamma, const float* beta, Act y, float* mean, float* rstd);

}  // namespace haze::kernels
