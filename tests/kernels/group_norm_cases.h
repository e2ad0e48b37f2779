// SPDX-License-Identifier: MIT
// group_norm_cases.h — the sizes that group normalisation is tested at, and their numbers.
#pragma once
#include "kernels/group_norm/reference.h"
#include "tests/support/tape.h"

namespace haze::test::group_norm {
using engine::Tape;
using engine::Var;
using kernels::GroupNormDims;
namespace ref = kernels::reference;

struct Case {
  const char* why;
  GroupNormDims d;  // n, hw, c, groups
  double offset = 0;
};
inline const Case kCases[] = {
    {"U-Net stage", {2, 16 * 16, 64, 32}},
    {"one image, several chunks", {1, 20 * 20, 48, 8}},
    {"one channel per group", {2, 49, 8, 8}},
    {"one group (layer norm)", {3, 25, 12, 1}},
    {"two channels per group", {3, 49, 34, 17}},
    {"nothing divides a vector register", {5, 35, 6, 3}},
    {"one pixel", {3, 1, 12, 4}},
    {"one pixel more than a chunk", {1, 129, 3, 1}},
    {"too large to keep d(loss)/dz", {1, 1400, 96, 32}},
    {"a group wider than a block", {2, 5, 1028, 1}},
    {"more pixels than a block holds", {2, 530, 16, 8}},
    {"more images than parameter_gradients has warps", {70, 4, 8, 2}},
    {"two tensors, the seam in a group", {2, 256, 96, 32, 1e-5f, false, 32}},
    {"two tensors, the seam in a vector", {3, 49, 20, 5, 1e-5f, false, 7}},
    {"two tensors, several chunks", {1, 1100, 48, 8, 1e-5f, false, 16}},
    {"two tensors, a group wider than a block", {2, 5, 1032, 1, 1e-5f, false, 520}},
    {"two tensors, large offset", {2, 300, 16, 4, 1e-5f, false, 4}, 1e4},
    {"large offset: variance must not cancel", {2, 300, 8, 4}, 1e4},
    {"large offset, several chunks on CUDA too", {1, 1100, 16, 8}, 1e4},
};

// Drawn in the type of the activations, so that both sides start from the same numbers.
struct Data {
  Data(const Case& at, bool swish, DType type = DType::f32) : d(at.d) {
    d.swish = swish;
    const std::size_t size = std::size_t(d.n) * d.hw * d.c;
    x = test::normal(size, 1, at.offset, 1, type);
    dy = test::normal(size, 4, 0, 1, type);
    gamma = test::normal(d.c, 2, 1, 0.1);
    beta = test::normal(d.c, 3);
    y.resize(size), dx.resize(size), mean.resize(d.n * d.groups), rstd.resize(d.n * d.groups);
    dgamma.resize(d.c), dbeta.resize(d.c);
    ref::group_norm_forward(d, x.data(), gamma.data(), beta.data(), y.data(), mean.data(),
                            rstd.data());
    ref::group_norm_backward(d, dy.data(), x.data(), gamma.data(), beta.data(), mean.data(),
                             rstd.data(), dx.data(), dgamma.data(), dbeta.data());
  }
  engine::Shape shape() const { return {d.n, d.hw, d.c}; }

  GroupNormDims d;
  std::vector<double> x, gamma, beta, dy, y, mean, rstd, dx, dgamma, dbeta;
};

/// The channels [from, to) of values [..., c].
inline std::vector<double> channels(const std::vector<double>& v, int c, int from, int to) {
  std::vector<double> some;
  for (std::size_t i = 0; i < v.size(); ++i)
    if (int(i % std::size_t(c)) >= from && int(i % std::size_t(c)) < to) some.push_back(v[i]);
  return some;
}

/// x in the tensors that the case has it in; a second one makes it an image.
inline engine::Joined leaves(Tape& tape, const Data& a, DType type, bool first = true,
                             bool second = true) {
  const auto& d = a.d;
  if (d.c2 == 0) return leaf(tape, a.shape(), a.x, first, type);
  const int c1 = d.c - d.c2;
  return {leaf(tape, {d.n, 1, d.hw, c1}, channels(a.x, d.c, 0, c1), first, type),
          leaf(tape, {d.n, 1, d.hw, d.c2}, channels(a.x, d.c, c1, d.c), second, type)};
}
inline engine::Shape shape_of_y(const Data& a) {
  return a.d.c2 > 0 ? engine::Shape{a.d.n, 1, a.d.hw, a.d.c} : a.shape();
}

inline std::vector<double> grad_of(const Tape& tape, const Data& a, const engine::Joined& x) {
  if (!x.second) return test::grad_of(tape, x.first);
  const auto first = test::grad_of(tape, x.first), second = test::grad_of(tape, x.second);
  std::vector<double> all;
  const std::size_t c1 = std::size_t(a.d.c - a.d.c2), c2 = std::size_t(a.d.c2);
  for (std::size_t i = 0; i < a.x.size(); ++i) {
    const std::size_t p = i / (c1 + c2), c = i % (c1 + c2);
    all.push_back(c < c1 ? first[p * c1 + c] : second[p * c2 + c - c1]);
  }
  return all;
}

inline Var op(Tape& tape, const GroupNormDims& d, engine::Joined x, Var gamma, Var beta) {
  const auto f = d.swish ? engine::group_norm_swish : engine::group_norm;
  return f(tape, x, gamma, beta, d.groups, d.eps);
}

}  // namespace haze::test::group_norm
