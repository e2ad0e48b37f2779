// group_norm_versions_test.cpp — the earlier CUDA version of group normalisation, against the
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

}  // namespace
}  // namespace haze
#endif
