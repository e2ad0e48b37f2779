// SPDX-License-Identifier: MIT
// guidance.h — contract of classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598, eq. 6),
// with the result optionally rescaled to the spread of the conditional prediction (Lin et al. 2023,
// arXiv 2305.08891, section 3.4).
#pragma once
#include "kernels/base/dtype.h"
#include "kernels/base/prediction_dims.h"

namespace haze::kernels {

struct Guidance {
  float weight = 1;   // w: 0 unconditional, 1 conditional, above 1 guided
  float rescale = 0;  // phi in [0,1]; 0: none
};

/// A factor per item, where there is any rescaling.
inline std::size_t guidance_scratch_bytes(const PredictionDims& d, const Guidance& g) {
  return g.rescale == 0 ? 0 : std::size_t(d.n) * sizeof(float);
}

/// Per value g = u + w·(c - u), computed as c + (w - 1)·(c - u) so that w = 1 is exactly c; then,
/// per item, out = g·(phi·std(c)/std(g) + 1 - phi), std over the item's values (an item whose g is
/// constant is not rescaled). c, u and out of one type and layout; with d.variances those of out
/// are c's. Overwrites out, which may be c or u, and scratch.
template <class S>
void guidance(S stream, const PredictionDims& d, ConstAct c, ConstAct u, const Guidance& g,
              void* scratch, Act out);

}  // namespace haze::kernels
