// SPDX-License-Identifier: MIT
// group_norm.cpp — tape nodes of group normalisation, alone and fused with the Swish that follows.
#include "kernels/group_norm/group_norm.h"

#include "engine/ops/joined.h"

namespace haze::engine {
namespace {

Var normalise(Tape& tape, const char* op, Joined x, Var gamma, Var beta, int groups, float eps,
              bool swish) {
  x = one_or_two(tape, x);
  const Tensor in = tape.value(x.first), in2 = x.second ? tape.value(x.second) : Tensor{};
  const Tensor &g = tape.value(gamma), &b = tape.value(beta);
  HAZE_CHECK(in.shape.rank() >= 2, "x must be [N,...,C], got ", in.shape.str());
  const int n = in.shape[0], c2 = in2 ? in2.shape[-1] : 0, c = in.shape[-1] + c2;
  HAZE_CHECK(groups > 0 && c % groups == 0, "groups must divide C: C=", c, " groups=", groups);
  HAZE_CHECK(g.shape == Shape({c}) && b.shape == Shape({c}), "gamma and beta must be [", c,
             "]: gamma is ", g.shape.str(), ", beta is ", b.shape.str());
  HAZE_CHECK(eps >= 0, "eps=", eps);
  const int hw = int(in.size() / std::size_t(n) / std::size_t(in.shape[-1]));
  const kernels::GroupNormDims d{n, hw, c, groups, eps, swish, c2};

  const auto scratch_for = [d](const Tape& t) {
    return t.scratch(t.run([&](auto s) { return kernels::group_norm_scratch_bytes(s, d); }));
  };
  const auto joined = [=] { return kernels::Joined<kernels::ConstAct>(in.in(), in2.in()); };
  const Shape& s = in.shape;
  const Tensor y = tape.empty(in2 ? Shape{s[0], s[1], s[2], c} : s, in.dtype);
  const Tensor mean = tape.empty({n, groups}, DType::f32),
               rstd = tape.empty({n, groups}, DType::f32);
  const auto scratch = scratch_for(tape);
  tape.run([&](auto s) {
    kernels::group_norm_forward(s, d, joined(), g.f32(), b.f32(), y.act(), mean.f32(), rstd.f32(),
                                scratch.get());
  });

  // Saved for backward: x, gamma, beta and two [N,groups] vectors. Not y, not the normalised x.
  return tape.record(op, y, {x.first, x.second, gamma, beta}, [=](Tape& t, const Tensor& dy) {
    const kernels::Joined<kernels::Grad> dx{t.grad_of(x.first), t.grad_of(x.second)};
    const auto dgamma = t.grad_of(gamma), dbeta = t.grad_of(beta);
    const auto work = scratch_for(t);
    t.run([&](auto s) {
      kernels::group_norm_backward(s, d, dy.in(), joined(), g.f32(), b.f32(), mean.f32(),
                                   rstd.f32(), dx, dgamma, dbeta, work.get());
    });
  });
}

}  // namespace

Var group_norm(Tape& tape, Joined x, Var gamma, Var beta, int groups, float eps) {
  return normalise(tape, "group_norm", x, gamma, beta, groups, eps, false);
}

Var group_norm_swish(Tape& tape, Joined x, Var gamma, Var beta, int groups, float eps) {
  if (!tape.context().fusion) return swish(tape, group_norm(tape, x, gamma, beta, groups, eps));
  return normalise(tape, "group_norm_swish", x, gamma, beta, groups, eps, true);
}

}  // namespace haze::engine
