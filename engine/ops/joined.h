// SPDX-License-Identifier: MIT
// joined.h — what the ops that take a Joined image share.
#pragma once
#include "engine/ops.h"
#include "kernels/base/joined.h"

namespace haze::engine {

/// a and b are [N,H,W,Ca] and [N,H,W,Cb] of one type.
void check_joined(const Tensor& a, const Tensor& b);

/// x itself where the op can take it as it is. Without fusion, and where both are one tensor (whose
/// gradient has one buffer), their concatenation.
Joined one_or_two(Tape& tape, Joined x);

}  // namespace haze::engine
