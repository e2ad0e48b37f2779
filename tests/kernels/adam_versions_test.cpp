// SPDX-License-Identifier: MIT
// adam_versions_test.cpp — the optimiser's earlier CUDA versions, against the formula in double.
// Only in builds that have CUDA kernels.
#if defined(HAZE_CUDA)
#include "kernels/adam/versions.h"
#include "tests/kernels/adam_cases.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using kernels::AdamStep;

const CudaStream& cuda() {
  static const CudaStream stream = std::get<CudaStream>(kernels::open_cuda(0));
  return stream;
}

TEST(AdamVersions, OneBlockTakesTheNormOfAnySizeWithoutOverflow) {
  engine::Context context{cuda()};
  const engine::Tape tape(context);
  for (const int n : {1, 31, 1024, 1025, 40'000}) {
    auto g = test::normal(std::size_t(n), 3);
    g.back() = -1e20;  // its square overflows f32
    for (const bool outlier : {true, false}) {
      if (!outlier) g.back() = 2;
      double want = 0;
      for (const double v : g) want += v * v;
      const auto x = test::to_tensor(tape, {n}, g), norm = tape.empty({1}, DType::f32);
      kernels::global_norm_v1(cuda(), std::size_t(n), x.f32(), norm.f32());
      // In double, and rounded once.
      test::expect_close(test::values(tape, norm), std::vector{std::sqrt(want)}, 0x1p-24, 0,
                         cat(n, outlier ? ", outlier" : ""));
    }
  }
}

/// w, m, v, ema, bf16 copy and norm after one step of `c` from values about 3.
void expect_step(const AdamStep& c, bool with_ema, bool with_bf16) {
  const int n = 1037;  // several blocks, the last one not full
  engine::Context context{cuda()};
  const engine::Tape tape(context);
  std::vector<std::vector<double>> at;  // w, g, m, v, ema
  std::vector<engine::Tensor> on_device;
  for (unsigned i = 0; i < 5; ++i) {
    at.push_back(test::normal(n, i, 3, 0.1));
    on_device.push_back(test::to_tensor(tape, {n}, at.back()));
  }
  const auto result = tape.empty({2}, DType::f32), half = tape.empty({n}, DType::bf16);
  const auto scratch = tape.scratch(kernels::adam_step_v1_scratch_bytes(n));
  kernels::adam_step_v1(cuda(), n, c,
                        {on_device[0].f32(), on_device[1].f32(), on_device[2].f32(),
                         on_device[3].f32(), with_ema ? on_device[4].f32() : nullptr,
                         with_bf16 ? static_cast<bf16*>(half.raw()) : nullptr},
                        scratch.get(), result.f32());
  auto &w = at[0], &m = at[2], &v = at[3], &ema = at[4];
  const auto& g = at[1];
  double length = 0;
  for (const double e : g) length += e * e;
  length = std::sqrt(length);
  const double factor = c.clip > 0 ? std::min(1.0, double(c.clip) / (length + 1e-6)) : 1;
  for (std::size_t i = 0; i < std::size_t(n); ++i) {
    const double clipped = g[i] * factor;
    m[i] = double(c.beta1) * m[i] + double(c.one_minus_beta1) * clipped;
    v[i] = double(c.beta2) * v[i] + double(c.one_minus_beta2) * clipped * clipped;
    w[i] -= double(c.decay) * w[i] +
            double(c.step_size) * m[i] / (std::sqrt(v[i]) * double(c.inv_sqrt_bias2) + c.eps);
    if (with_ema) ema[i] += double(c.one_minus_decay) * (w[i] - ema[i]);
  }
  // No chain has more than eight roundings, of numbers up to 4.
  const double u = 0x1p-24;
  test::expect_close(test::values(tape, result), std::vector{length, 1.0}, u, 0, "norm");
  test::expect_close(test::values(tape, on_device[2]), m, 8 * u, 0, "m");
  test::expect_close(test::values(tape, on_device[3]), v, 8 * u, 0, "v");
  test::expect_close(test::values(tape, on_device[0]), w, 0, 8 * 4 * u, "w");
  test::expect_close(test::values(tape, on_device[4]), ema, 0, 8 * 4 * u, "ema");
  if (with_bf16) test::expect_close(test::values(tape, half), w, 0x1p-8, 0, "bf16");
}

TEST(AdamVersions, UnfusedMakesTheSameStep) {
  AdamStep c = test::kStep;
  expect_step(c, true, true);  // clipped: the norm is about 97
  c.clip = 200;                // wide enough
  expect_step(c, false, true);
  c.clip = 0;  // off
  expect_step(c, true, false);
}

}  // namespace
}  // namespace haze
#endif
