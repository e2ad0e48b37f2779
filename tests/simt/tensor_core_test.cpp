// SPDX-License-Identifier: MIT
// tensor_core_test.cpp — how the emulated mma adds: rounded to nearest, or cut off as tensor cores
// do, for which the tests' tolerances of products hold too.
#include "kernels/cuda/simt.h"
#include "kernels/runtime/memory.h"
// after simt.h
#include "kernels/cuda/ptx.h"
#include "kernels/simt/emulator/emulator.h"
#include "tests/support/sum_error.h"
#include "tests/support/test.h"

namespace haze {
namespace {

std::uint32_t pair(float low, float high) {
  return std::uint32_t(bf16(low).bits) | std::uint32_t(bf16(high).bits) << 16;
}

/// d[i] = c + Σ_k a[k]·b[k] in every element, `steps` mma of 16 products each.
__global__ void __launch_bounds__(32)
    sum_of_products(int steps, float c, const std::uint32_t* a, const std::uint32_t* b, float* d) {
  const int q = int(threadIdx.x) % 4;  // its columns of A: 2q, 2q + 1 and 8 more
  float sums[4] = {c, c, c, c};
  for (int s = 0; s < steps; ++s) {
    const std::uint32_t fa[4] = {a[s * 8 + q], a[s * 8 + q], a[s * 8 + q + 4], a[s * 8 + q + 4]};
    ptx::mma_m16n8k16_bf16(sums, fa, b[s * 8 + q], b[s * 8 + q + 4]);
  }
  if (threadIdx.x == 0) *d = sums[0];
}

struct TensorCore : testing::Test {
  const simt::Config before = simt::config();
  ~TensorCore() override { simt::config() = before; }

  static float sum(int terms, float c, const std::vector<double>& a, const std::vector<double>& b) {
    simt::config().truncated_terms = terms;
    const std::size_t n = a.size();
    std::vector<std::uint32_t> packed;
    for (const auto* v : {&a, &b})
      for (std::size_t k = 0; k < n; k += 2)
        packed.push_back(pair(float((*v)[k]), float((*v)[k + 1])));
    auto* const in = static_cast<std::uint32_t*>(kernels::allocate(CudaStream{}, n * 4));
    auto* const out = static_cast<float*>(kernels::allocate(CudaStream{}, 4));
    kernels::copy_in(CudaStream{}, in, packed.data(), n * 4);
    HAZE_LAUNCH(sum_of_products, CudaStream{}, 1, 32, 0, int(n / 16), c, in, in + n / 2, out);
    float d = 0;
    kernels::copy_out(CudaStream{}, &d, out, 4);
    kernels::release(CudaStream{}, in);
    kernels::release(CudaStream{}, out);
    return d;
  }
};

/// 16 products, the first few of them given.
std::vector<double> factors(std::initializer_list<double> first) {
  std::vector<double> v(first);
  v.resize(16);
  return v;
}

TEST_F(TensorCore, RoundsEachSumOrCutsOffGroups) {
  const auto ones = std::vector<double>(16, 1);
  const auto small = std::vector<double>(16, 0x1p-24);
  EXPECT_EQ(sum(0, 1, small, ones), 1);              // each is half an ulp, to even
  EXPECT_EQ(sum(16, 1, small, ones), 1 + 0x1p-20f);  // together they are eight
  EXPECT_EQ(sum(4, 1, small, ones), 1 + 0x1p-20f);
  EXPECT_EQ(sum(16, 1, factors({0x1.8p-23}), ones), 1 + 0x1p-23f);  // nearest would be 2^-22
  EXPECT_EQ(sum(0, 1, factors({0x1.8p-23}), ones), 1 + 0x1p-22f);
  EXPECT_EQ(sum(16, -1, factors({-0x1.8p-23}), ones), -1 - 0x1p-23f);  // towards zero
  EXPECT_EQ(sum(16, 1, std::vector<double>(16, 0x1p-26), ones), 1);    // behind two more bits
  EXPECT_EQ(sum(16, 0, factors({3, -3, 0x1p-130}), factors({1, 1, 1})), 0);
  EXPECT_TRUE(std::isnan(sum(8, 1, factors({NAN}), ones)));
  EXPECT_EQ(sum(8, 1, factors({INFINITY}), ones), INFINITY);
}

TEST_F(TensorCore, LongSumsStayWithinTheTolerance) {
  for (const int terms : {4, 8, 16}) {
    double largest = 0;
    constexpr int k = 4096;
    for (unsigned seed = 1; seed <= 40; ++seed) {
      const auto a = test::normal(k, seed, 0, 1, DType::bf16),
                 b = test::normal(k, 100 + seed, 0, 1, DType::bf16);
      double exact = 0;
      for (int i = 0; i < k; ++i) exact += a[std::size_t(i)] * b[std::size_t(i)];
      largest = std::max(largest, std::abs(sum(terms, 0, a, b) - exact));
      EXPECT_LE(std::abs(sum(0, 0, a, b) - exact), test::sum_error(k));
    }
    EXPECT_LE(largest, test::cut_sum_error(k)) << terms;
    if (terms == 4) {
      EXPECT_GT(largest, test::sum_error(k)) << "nothing was cut off";
    }
  }
}

}  // namespace
}  // namespace haze
