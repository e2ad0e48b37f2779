// SPDX-License-Identifier: MIT
// test.h — what every test needs: comparison that a NaN cannot pass, drawn inputs, the backends to
// run on, and the finite-difference proof. See docs/adding-an-op.md for the three proofs of an op.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/dtype.h"
#include "kernels/base/stream.h"
#include "kernels/runtime/device.h"

namespace haze::test {

/// Passes when every |got-want| <= atol + rtol*|want|. Anything not finite on either side fails.
template <class A, class B>
void expect_close(const A& got, const B& want, double rtol, double atol, const std::string& label) {
  ASSERT_EQ(std::size(got), std::size(want)) << label;
  double worst = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < std::size(got); ++i) {
    const double error = std::abs(double(got[i]) - double(want[i]));
    const double ratio = error / (atol + rtol * std::abs(double(want[i])));
    const double r = error == 0 ? 0 : std::isfinite(ratio) ? ratio : INFINITY;
    if (!std::isfinite(double(got[i])) || !std::isfinite(double(want[i])) || r > worst) {
      worst = std::isfinite(double(got[i])) && std::isfinite(double(want[i])) ? r : INFINITY;
      at = i;
      if (std::isinf(worst)) break;
    }
  }
  EXPECT_LE(worst, 1) << label << ": element " << at << " of " << std::size(got) << " is "
                      << double(got[at]) << ", want " << double(want[at]) << " (rtol " << rtol
                      << ", atol " << atol << "; the figure compared is error / tolerance)";
}

/// n draws from N(mean, std²), rounded to `type`, so that a kernel in that type and a reference in
/// double start from the same numbers.
inline std::vector<double> normal(std::size_t n, unsigned seed, double mean = 0, double std = 1,
                                  DType type = DType::f32) {
  std::mt19937 gen(seed);
  std::normal_distribution<double> dist(mean, std);
  std::vector<double> v(n);
  for (double& e : v) {
    e = float(dist(gen));
    if (type == DType::bf16) e = float(bf16(float(e)));
  }
  return v;
}

/// Half a unit in the last place of `type`, relative: what one rounding costs.
inline double rounding(DType type) { return type == DType::bf16 ? 0x1p-9 : 0x1p-25; }

/// Where tests that need one device run: the CPU, or with HAZE_DEVICE=cuda the CUDA backend. Each
/// test program of the engine and above is run once with either.
inline Stream device() {
  static const Stream one = []() -> Stream {
    const char* set = std::getenv("HAZE_DEVICE");
    if (kHasCuda && set && std::string(set) == "cuda") return kernels::open_cuda(0);
    if (set && std::string(set) != "cpu") throw DeviceError(cat("HAZE_DEVICE=", set));
    return CpuStream{};
  }();
  return one;
}

/// Every backend that this build has and this machine can run.
inline std::vector<Stream> streams() {
  static const std::vector<Stream> all = [] {
    std::vector<Stream> some{CpuStream{}};
    if (kHasCuda) some.push_back(kernels::open_cuda(0));
    return some;
  }();
  return all;
}

inline std::vector<double> join(const std::vector<double>& a, const auto&... rest) {
  std::vector<double> all = a;
  (all.insert(all.end(), rest.begin(), rest.end()), ...);
  return all;
}

inline std::vector<double> times(std::vector<double> v, double factor) {
  for (double& e : v) e *= factor;
  return v;
}

/// First proof of an op: jtu must be Jᵀu of f at x. Compares <u, df·v> by central differences with
/// <jtu, v> for three random directions v over ALL inputs at once, so that none can be forgotten.
template <class F>
void expect_gradient(F f, const std::vector<double>& x, const std::vector<double>& u,
                     const std::vector<double>& jtu, double rtol, const std::string& label) {
  ASSERT_EQ(x.size(), jtu.size()) << label;
  const double h = 1e-5;
  for (unsigned seed = 1; seed <= 3; ++seed) {
    const auto v = normal(x.size(), 1000 + seed);
    auto lo = x, hi = x;
    for (std::size_t i = 0; i < x.size(); ++i) {
      lo[i] -= h * v[i];
      hi[i] += h * v[i];
    }
    const std::vector<double> flo = f(lo), fhi = f(hi);
    ASSERT_EQ(flo.size(), u.size()) << label;
    double numeric = 0, analytic = 0, size = 0;
    for (std::size_t i = 0; i < u.size(); ++i) numeric += u[i] * (fhi[i] - flo[i]) / (2 * h);
    for (std::size_t i = 0; i < v.size(); ++i) {
      analytic += jtu[i] * v[i];
      size += std::abs(jtu[i] * v[i]);
    }
    // The sum cancels: its error is relative to the sum of sizes, with 1e-8 for f's own rounding.
    expect_close(std::vector{analytic}, std::vector{numeric}, 0, rtol * size + 1e-8, label);
  }
}

}  // namespace haze::test
