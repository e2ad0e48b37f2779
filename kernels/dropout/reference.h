// SPDX-License-Identifier: MIT
// reference.h — dropout as the contract reads, element by element, in T (double in the tests).
#pragma once
#include "kernels/dropout/dropout.h"

namespace haze::kernels::reference {

/// The factor of each element, scale or 0, into factor [n,elements].
template <class T>
void dropout_factors(const ItemDims& d, const DropoutMask& mask, T* factor) {
  for (int n = 0; n < d.n; ++n)
    for (int i = 0; i < d.elements; ++i) {
      const Random4 block =
          random4(mask.key, mask.first_item + std::uint32_t(n), std::uint32_t(i / 8));
      const std::uint32_t draw = block.v[i / 2 % 4] >> (i % 2 * 16) & 0xffffu;
      factor[std::size_t(n) * d.elements + i] = draw >= mask.threshold ? T(mask.scale) : T(0);
    }
}

/// Forward (v = x) and backward (v = dy) alike. Overwrites out.
template <class T>
void dropout(const ItemDims& d, const DropoutMask& mask, const T* v, T* out) {
  dropout_factors(d, mask, out);
  for (std::size_t i = 0; i < d.size(); ++i) out[i] *= v[i];
}

}  // namespace haze::kernels::reference
