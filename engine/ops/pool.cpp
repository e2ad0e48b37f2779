// SPDX-License-Identifier: MIT
// pool.cpp — tape node of pooling. No gradient: see the contract.
#include "kernels/pool/pool.h"

#include <algorithm>

#include "engine/ops.h"

namespace haze::engine {
namespace {

Var pool(Tape& tape, Var x, kernels::Pooling pooling, int side, int stride, int pad) {
  const Tensor& in = tape.value(x);
  HAZE_CHECK(in.shape.rank() == 4 && in.size() > 0, "x must be [N,H,W,C], got ", in.shape.str());
  HAZE_CHECK(!tape.needs_grad(x), "pooling has no gradient, and x needs one");
  const kernels::PoolDims d{in.shape[0], in.shape[1], in.shape[2], in.shape[3], side, stride, pad};
  HAZE_CHECK(stride >= 1 && pad >= 0 && pad < side && std::min(d.h, d.w) + 2 * pad >= side,
             "a window of ", side, ", stride ", stride, ", padding ", pad, " on ", in.shape.str());
  const Tensor y = tape.empty({d.n, d.ho(), d.wo(), d.c}, in.dtype);
  tape.run([&](auto s) { kernels::pool_forward(s, d, pooling, in.in(), y.act()); });
  return tape.record("pool", y, {}, {});
}

}  // namespace

Var max_pool(Tape& tape, Var x, int side, int stride, int pad) {
  return pool(tape, x, kernels::Pooling::largest, side, stride, pad);
}

Var average_pool(Tape& tape, Var x, int side, int stride, int pad) {
  return pool(tape, x, kernels::Pooling::mean, side, stride, pad);
}

}  // namespace haze::engine
