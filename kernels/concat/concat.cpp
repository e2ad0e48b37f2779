// SPDX-License-Identifier: MIT
// concat.cpp — CPU backend. Bandwidth-bound: one pass (kernels/cpu/loops.h).
#include "kernels/concat/concat.h"

#include "kernels/base/stream.h"
#include "kernels/cpu/loops.h"

namespace haze::kernels {

template <>
void concat_channels_forward(CpuStream, const ConcatDims& d, ConstAct a, ConstAct b, Act y) {
  dispatch(y.dtype, [&]<class T>(T) {
    loops::join_channels(d.pixels, d.ca, d.cb, a.as<T>(), b.as<T>(), y.as<T>());
  });
}

template <>
void concat_channels_backward(CpuStream, const ConcatDims& d, ConstAct dy, Grad da, Grad db) {
  dispatch(dy.dtype,
           [&]<class T>(T) { loops::split_channels(d.pixels, d.ca, d.cb, dy.as<T>(), da, db); });
}

}  // namespace haze::kernels
