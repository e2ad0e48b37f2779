// SPDX-License-Identifier: MIT
// joined.h — an image whose channels lie in one tensor, or in two: what a concatenation along the
// channels would join, without its copy (the U-Net's skip connections).
#pragma once
#include <concepts>

#include "kernels/base/dtype.h"

namespace haze::kernels {

/// P is ConstAct or Grad. The channels of `first`, then those of `second`, each tensor dense in its
/// own channels; how many the second has is in the call's dimensions (0: there is none).
template <class P>
struct Joined {
  P first, second;
  template <std::convertible_to<P> A>
  Joined(A whole) : first(whole) {}
  Joined(P a, P b) : first(a), second(b) {}
  explicit operator bool() const { return first || second; }
};

/// Of c channels, the last c2 are the second tensor's; given where and only where there are any.
template <class P>
void check_joined(int c, int c2, const Joined<P>& x) {
  HAZE_CHECK(c2 >= 0 && c2 < c && (c2 > 0 || !x.second), "c=", c, " c2=", c2,
             x.second ? ", with" : ", without", " a second tensor");
}

}  // namespace haze::kernels
