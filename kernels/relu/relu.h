// relu.h — contract of the rectifier, y = max(x, 0).
#pragma once
#include <cstddef>

#include "kernels/base/dtype.h"

namespace haze::kernels {

/// y[i] = x[i] < 0 ? 0 : x[i] for i < n, of one type; NaN stays NaN. Overwrites y, which may be x.
template <class S>
void relu_forward(S stream, std::size_t n, ConstAct x, Act y);

/// dx[i] = or += (y[i] <= 0 ? 0 : dy[i]) for i < n, all of one type, from the OUTPUT of the forward
/// call: the next layer keeps it anyway. The gradient at 0 is 0. In mode overwrite dx may be dy.
template <class S>
void relu_backward(S stream, std::size_t n, ConstAct dy, ConstAct y, Grad dx);

}  // namespace haze::kernels
