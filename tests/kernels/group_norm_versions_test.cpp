// SPDX-License-Identifier: MIT
// group_norm_versions_test.cpp — the earlier CUDA versions of group normalisation, against the
// reference. Only in builds that have CUDA kernels.
#if defined(HAZE_CUDA)
#include "kernels/group_norm/reference.h"
#include "kernels/group_norm/versions.h"
#include "kernels/runtime/memory.h"
#include "tests/support/test.h"

namespace haze {
namespace {

using kernels::GroupNormDims;
namespace ref = kernels::reference;

/// Device memory with these values, as T.
template <class T>
struct Device {
  Device(CudaStream stream, const std::vector<double>& v) : stream(stream), n(v.size()) {
    std::vector<T> host;
    for (const double e : v) host.push_back(T(float(e)));
    p = static_cast<T*>(kernels::allocate(stream, n * sizeof(T)));
    kernels::copy_in(stream, p, host.data(), n * sizeof(T));
  }
  ~Device() { kernels::release(stream, p); }
  std::vector<T> read() const {
    std::vector<T> host(n);
    kernels::copy_out(stream, host.data(), p, n * sizeof(T));
    return host;
  }
  kernels::Act act() const { return {p, dtype_of<T>}; }
  kernels::Grad grad(kernels::Write mode) const { return {p, dtype_of<T>, mode}; }
  CudaStream stream;
  std::size_t n;
  T* p;
};

template <class T>
void expect_v1(const GroupNormDims& d) {
  const DType type = dtype_of<T>;
  const std::size_t n = std::size_t(d.n) * d.hw * d.c, groups = std::size_t(d.n) * d.groups;
  const auto x = test::normal(n, 1, 0, 1, type), dy = test::normal(n, 2, 0, 1, type);
  const auto gamma = test::normal(d.c, 3, 1, 0.1), beta = test::normal(d.c, 4);
  const std::vector<double> ones(n, 1);
  std::vector<double> y(n), mean(groups), rstd(groups), dx = ones, dgamma(d.c, 1), dbeta(d.c);
  ref::group_norm_forward(d, x.data(), gamma.data(), beta.data(), y.data(), mean.data(),
                          rstd.data());
  ref::group_norm_backward(d, dy.data(), x.data(), gamma.data(), beta.data(), mean.data(),
                           rstd.data(), dx.data(), dgamma.data(), dbeta.data());

  const CudaStream s = std::get<CudaStream>(test::streams().back());
  const Device<T> in(s, x), out(s, ones), dout(s, dy), din(s, ones);
  const Device<float> g(s, gamma), b(s, beta), m(s, mean), r(s, rstd), dg(s, ones), db(s, ones);
  const Device<float> scratch(s, std::vector<double>(2 * std::size_t(d.n) * d.c));
  kernels::group_norm_forward_v1(s, d, in.act(), g.p, b.p, out.act(), m.p, r.p);
  kernels::group_norm_backward_v1(s, d, dout.act(), in.act(), g.p, b.p, m.p, r.p,
                                  din.grad(kernels::Write::add), dg.grad(kernels::Write::add),
                                  db.grad(kernels::Write::overwrite), scratch.p);
  const auto weights = [&](const Device<float>& v) {
    auto all = v.read();
    all.resize(std::size_t(d.c));
    return all;
  };
  // As in group_norm_test.cpp; dx is rounded once more where it is added to.
  const double largest = std::max(1.0, *std::ranges::max_element(rstd));
  const double u = 2 * test::rounding(type), atol = largest * 24 * 0x1p-24;
  const double sum = 4 * atol * std::sqrt(double(d.n) * d.hw);
  test::expect_close(out.read(), y, u, atol + u * 0x1p-8, "y");
  test::expect_close(din.read(), dx, u, 4 * largest * atol + u * 0x1p-8, "dx");
  test::expect_close(weights(dg), dgamma, 1e-6, sum, "dgamma");
  test::expect_close(weights(db), dbeta, 1e-6, sum, "dbeta");
}

TEST(GroupNormVersions, V1MatchesReference) {
  for (const bool swish : {false, true})
    for (const auto& d : {GroupNormDims{2, 49, 34, 17}, {1, 300, 12, 1}, {3, 1, 12, 4}}) {
      GroupNormDims with = d;
      with.swish = swish;
      expect_v1<float>(with);
      expect_v1<bf16>(with);
    }
}

using Forward = decltype(&kernels::group_norm_forward_v1);

template <class T>
void expect_forward(Forward version, const GroupNormDims& d, double offset,
                    const std::string& why) {
  const DType type = dtype_of<T>;
  const std::size_t n = std::size_t(d.n) * d.hw * d.c, groups = std::size_t(d.n) * d.groups;
  const auto x = test::normal(n, 1, offset, 1, type), gamma = test::normal(d.c, 2, 1, 0.1);
  const auto beta = test::normal(d.c, 3);
  std::vector<double> y(n), mean(groups), rstd(groups);
  ref::group_norm_forward(d, x.data(), gamma.data(), beta.data(), y.data(), mean.data(),
                          rstd.data());
  const CudaStream s = std::get<CudaStream>(test::streams().back());
  const Device<T> in(s, x), out(s, std::vector<double>(n, 7));
  const Device<float> g(s, gamma), b(s, beta), m(s, mean), r(s, rstd);
  version(s, d, in.act(), g.p, b.p, out.act(), m.p, r.p);
  // As in group_norm_test.cpp: a thread's chain of sums or joins is shorter than 128 here too.
  const double most = std::max(1.0, *std::ranges::max_element(rstd));
  const double steepest = 1.1 * *std::ranges::max_element(gamma);
  const double atol = most * (24 + steepest * std::abs(offset)) * 0x1p-24;
  const double u = 2 * test::rounding(type);
  test::expect_close(out.read(), y, u, atol + u * 0x1p-8, why + " y");
  // The mean: differences from the group's first value of size up to 8, summed and rounded once.
  test::expect_close(m.read(), mean, 0x1p-24, 24 * 8 * 0x1p-24, why + " mean");
  test::expect_close(r.read(), rstd, 24 * 0x1p-24, 0, why + " rstd");
}

TEST(GroupNormVersions, ForwardRungsMatchReference) {
  struct Shape {
    const char* why;
    GroupNormDims d;
    double offset = 0;
  };
  const Shape shapes[] = {
      {"two channels per group", {3, 49, 34, 17}},
      {"one channel per group", {2, 49, 8, 8}},
      {"one group", {3, 25, 12, 1}},
      {"one pixel", {3, 1, 12, 4}},
      {"several slabs, the last one narrower", {2, 40, 96, 12}},
      {"groups of three", {1, 9, 96, 32}},
      {"no vector divides the channels", {5, 35, 6, 3}},
      {"a group wider than a block", {2, 5, 1032, 1}},
      {"a slab that does not fit shared memory", {1, 1000, 64, 32}},
      {"large offset", {2, 300, 8, 4}, 1e4},
  };
  for (const Forward version : {kernels::group_norm_forward_v2, kernels::group_norm_forward_v3})
    for (const bool swish : {false, true})
      for (const Shape& at : shapes) {
        GroupNormDims d = at.d;
        d.swish = swish;
        expect_forward<float>(version, d, at.offset, at.why);
        if (at.offset == 0) expect_forward<bf16>(version, d, 0, at.why);
      }
}

}  // namespace
}  // namespace haze
#endif
