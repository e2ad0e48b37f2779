// SPDX-License-Identifier: MIT
// pointwise.h — contract of the element-wise functions of one input, y = f(x), and of two,
// y = f(a, b). A function is a struct of formulas in a header of its own; the loops around it are
// written once (pointwise.cpp, pointwise.cu), and the lists below say for which functions.
//
// A function of one input (relu.h)              and of two (multiply.h)
//   kName          of the op and its kernels      the same
//   y(x)           the value                      y(a, b)
//   dx(dy, kept)   dy·dy/dx                       da(dy, a, b), db(dy, a, b)
//   kKeepsY        whether kept is y, or x        (a and b are kept)
//   Reference      the formulas in double, which tests hold the ones in float against
#pragma once
#include <cstddef>

#include "kernels/base/dtype.h"
#include "kernels/pointwise/multiply.h"
#include "kernels/pointwise/relu.h"
#include "kernels/pointwise/swish.h"

/// Each gets its loops on both backends, its rows in the bench and its traced traffic.
// clang-format off
#define HAZE_FUNCTIONS_OF_ONE(X) \
  X(Swish) \
  X(Relu)

#define HAZE_FUNCTIONS_OF_TWO(X) \
  X(Multiply)
// clang-format on

namespace haze::kernels {

/// y[i] = F::y(x[i]) for i < n, of one type: computed
/// in f32, rounded once. Overwrites y, which may be x.
template <class F, class S>
void pointwise_forward(S stream, std::size_t n, ConstAct x, Act y);

/// dx[i] = or += F::dx(dy[i], kept[i]) for i < n, all of one type; kept is y where F::kKeepsY says
/// so, else x. In mode overwrite dx may be dy.
template <class F, class S>
void pointwise_backward(S stream, std::size_t n, ConstAct dy, ConstAct kept, Grad dx);

/// y[i] = F::y(a[i], b[i]) for i < n, as above. Overwrites y, which may be a or b.
template <class F, class S>
void pointwise_forward(S stream, std::size_t n, ConstAct a, ConstAct b, Act y);

/// da[i] = or += F::da(dy[i], a[i], b[i]), then db[i] = or += F::db(dy[i], a[i], b[i]), for i < n,
/// all of one type, each by its own mode; null is skipped. In mode overwrite da or db may be dy. With
/// a = b both may be the same buffer, da in either mode and db in mode add.
template <class F, class S>
void pointwise_backward(S stream, std::size_t n, ConstAct dy, ConstAct a, ConstAct b, Grad da,
                        Grad db);

}  // namespace haze::kernels
