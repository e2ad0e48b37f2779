// SPDX-License-Identifier: MIT
// cross_entropy.h — contract of the loss of a classifier: softmax, its negative log-likelihood and
// the gradient of that, in one pass.
#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>

#include "kernels/base/dtype.h"

namespace haze::kernels {

/// n items, each with a logit per class.
struct CrossEntropyDims {
  int n, classes;
  auto operator<=>(const CrossEntropyDims&) const = default;
};
inline std::size_t cross_entropy_scratch_bytes(const CrossEntropyDims& d) {
  return std::size_t(d.n) * sizeof(double);
}

/// loss[0] = mean over n of ln Σ_c exp(z[n,c]) - z[n,label[n]], z being logits [n,classes]: each in
/// f32, added in double in an order that n alone fixes. The largest logit is subtracted first, so
/// no finite logits overflow. Unless dlogits is null: dlogits[n,c] = scale/n·(softmax(z[n])[c] - [c
/// = label[n]]), of the logits' type. A label outside [0, classes) makes its item's loss and
/// gradient NaN: what lies on a device cannot be checked beforehand. Overwrites loss, dlogits (no
/// alias of logits) and scratch.
template <class S>
void cross_entropy(S stream, const CrossEntropyDims& d, ConstAct logits, const std::int32_t* labels,
                   float scale, void* scratch, float* loss, Act dlogits);

}  // namespace haze::kernels
