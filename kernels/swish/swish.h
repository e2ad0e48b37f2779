// swish.h — contract of Swish, y = x·sigmoid(x), also called SiLU (Ramachandran et al., "Searching
// for Activation Functions", 2017).
#pragma once
#include <cstddef>

#include "kernels/base/dtype.h"

namespace haze::kernels {

/// y[i] = x[i]·sigmoid(x[i]) for i < n, of one type. Overwrites y, which may be x.
template <class S>
void swish_forward(S stream, std::size_t n, ConstAct x, Act y);

/// dx[i] = or += dy[i]·s·(1 + x[i]·(1-s)), s = sigmoid(x[i]), for i < n, all of one type.
/// In mode overwrite dx may be dy.
template <class S>
void swish_backward(S stream, std::size_t n, ConstAct dy, ConstAct x, Grad dx);

}  // namespace haze::kernels
