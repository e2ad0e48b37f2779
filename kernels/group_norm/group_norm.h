// SPDX-License-Identifier: MIT
// group_norm.h — contract of group normalisation (Wu and He, "Group Normalization", ECCV 2018),
// alone or followed by Swish in the same passes.
#pragma once
#include <cstddef>

#include "kernels/base/joined.h"

namespace haze::kernels {

/// One call: x is [n, hw, c]; groups divides c; a group spans hw pixels of c/groups channels,
/// D = hw·c/groups values.
struct GroupNormDims {
  int n, hw, c, groups;
  float eps = 1e-5f;
  bool swish = false;  // y = z·sigmoid(z) of the normalised z instead of z itself
  int c2 = 0;          // of the c channels of x and dx, the last c2 are a tensor of their own
};

/// Bytes of scratch that one forward or backward call needs, run with as many threads as this one.
template <class S>
std::size_t group_norm_scratch_bytes(S stream, const GroupNormDims& d);

/// mean = Σx/D, rstd = 1/√(Σ(x-mean)²/D + eps) per image and group, and
/// z = gamma[c]·(x-mean)·rstd + beta[c]; y = z, or z·sigmoid(z) with d.swish.
/// gamma, beta [c]. Overwrites y [n,hw,c] (of x's type, not x itself), mean and rstd [n,groups].
/// x is [n,hw,c], or [n,hw,c-c2] and [n,hw,c2]: groups may lie across the seam.
template <class S>
void group_norm_forward(S stream, const GroupNormDims& d, Joined<ConstAct> x, const float* gamma,
                        const float* beta, Act y, float* mean, float* rstd, void* scratch);

/// Gradients from dy [n,hw,c], x and the statistics of the forward call; z and sigmoid(z) are
/// computed again. dx [n,hw,c]; dgamma, dbeta [c] (f32), summed over images in order. Each is
/// overwritten or added to as its mode says; null means "not wanted". dx may be neither dy nor x,
/// and lies in two tensors if x does: each with its own mode, either may be null, no overlap.
template <class S>
void group_norm_backward(S stream, const GroupNormDims& d, ConstAct dy, Joined<ConstAct> x,
                         const float* gamma, const float* beta, const float* mean,
                         const float* rstd, Joined<Grad> dx, Grad dgamma, Grad dbeta,
                         void* scratch);

}  // namespace haze::kernels
