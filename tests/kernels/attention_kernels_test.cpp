// SPDX-License-Identifier: MIT
// attention_kernels_test.cpp — attention's kernels without a tape: every size class against the
// reference, the earlier versions, and the property that backward owes to its row means.
#include <omp.h>

#include "kernels/attention/versions.h"
#include "tests/kernels/attention_cases.h"

namespace haze {
namespace {
using namespace attention_cases;

void expect_reference(const Case& k, DType type, Stream stream, const KernelResult& got,
                      const Numbers& x, const Numbers& dout) {
  const Result want = reference(k, x, dout);
  const Tolerance t = tolerance(k, x, dout, want.o, type, stream);
  const double u = 2 * test::rounding(type);
  const std::string what = cat(k.tokens, " tokens, head_dim ", k.head_dim, " ", name_of(type));
  test::expect_close(got.o, want.o, u, t.o, "o, " + what);
  test::expect_close(got.dqkv, want.dqkv, u, t.dqkv, "dqkv, " + what);
}

TEST(AttentionKernels, AnyTokensTimesAnyHeadDim) {
  // Around the borders: a warp's 16 rows, a block's 64, 32 and 64 columns a step, 64 and 128
  // numbers of a head at a time; on CUDA the path of whole 16-byte pieces and the other.
  const std::pair<int, int> sizes[] = {{1, 8},   {2, 130}, {15, 24}, {16, 64},  {17, 65}, {66, 136},
                                       {31, 72}, {64, 16}, {65, 17}, {81, 104}, {129, 5}};
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const auto& [tokens, head_dim] : sizes) {
        const Case k{"", 1,        tokens,
                     2,  head_dim, tokens % 2 ? QkvLayout::global : QkvLayout::per_head};
        const Numbers x = draw_qkv(k, type), dout = draw_dout(k, type);
        const auto got =
            std::visit([&](auto s) { return run_kernels(s, k, x, dout, type); }, stream);
        expect_reference(k, type, stream, got, x, dout);
      }
}

TEST(AttentionKernels, AWideHeadOverFewTokens) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16}) {
      const Case k{"", 1, 16, 1, 1024, QkvLayout::per_head};
      const Numbers x = draw_qkv(k, type), dout = draw_dout(k, type);
      const auto got = std::visit([&](auto s) { return run_kernels(s, k, x, dout, type); }, stream);
      expect_reference(k, type, stream, got, x, dout);
    }
}

TEST(AttentionKernels, ScoresThatGrowFromBlockToBlock) {
  // The largest score of every row is at the last key, so each block of keys scales down the last.
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16}) {
      const Case k{"", 1, 150, 1, 8, QkvLayout::global};
      Numbers x = draw_qkv(k, type);
      const Numbers dout = draw_dout(k, type);
      for (int t = 0; t < k.tokens; ++t) {
        const std::size_t at = ref::qkv_index(k.dims(), 0, t, 0);
        x[at] = 4, x[at + std::size_t(k.dims().k_offset)] = t / 8;  // both are bf16 numbers
      }
      const auto got = std::visit([&](auto s) { return run_kernels(s, k, x, dout, type); }, stream);
      expect_reference(k, type, stream, got, x, dout);
    }
}

TEST(AttentionKernels, ScoresFarBelowZero) {
  // What lies beyond the last key must not count as a score of zero.
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16}) {
      const Case k{"", 1, 70, 1, 4, QkvLayout::global};
      Numbers x = draw_qkv(k, type);
      const Numbers dout = draw_dout(k, type);
      for (int t = 0; t < k.tokens; ++t) {
        const std::size_t at = ref::qkv_index(k.dims(), 0, t, 0);
        x[at] = 16, x[at + std::size_t(k.dims().k_offset)] = -40;
      }
      const auto got = std::visit([&](auto s) { return run_kernels(s, k, x, dout, type); }, stream);
      expect_reference(k, type, stream, got, x, dout);
    }
}

/// f(index of q) for every image, token and head.
template <class F>
void each_row(const AttentionDims& d, F f) {
  for (int n = 0; n < d.n; ++n)
    for (int t = 0; t < d.tokens; ++t)
      for (int h = 0; h < d.heads; ++h) f(ref::qkv_index(d, n, t, h));
}

/// qkv whose scores are exact in f32: q and k are whole numbers, those of k times `step`; and in
/// front of them q is 1 and k is `offset`, which adds to every score what softmax does not see.
Numbers with_offset(const Case& k, DType type, double step, double offset) {
  const AttentionDims d = k.dims();
  Numbers x = draw_qkv(k, type);
  each_row(d, [&](std::size_t q) {
    for (int c = 0; c < d.head_dim; ++c) {
      double &of_q = x[q + std::size_t(c)], &of_k = x[q + std::size_t(c + d.k_offset)];
      of_q = c == 0 ? 1 : std::round(of_q), of_k = c == 0 ? offset : step * std::round(of_k);
    }
  });
  return x;
}

/// `run` computes o and dqkv from k, x and dout.
template <class Run>
void expect_probabilities_sum_to_one(DType type, Stream stream, Run run) {
  for (const Case& k :
       {Case{"", 1, 3, 1, 4, QkvLayout::per_head}, Case{"", 2, 70, 1, 4, QkvLayout::global},
        Case{"", 1, 130, 2, 16, QkvLayout::per_head}})
    for (const double offset : {0x1p22, 0x1p27, 0x1p30}) {
      const double step = std::max(1.0, offset * 0x1p-23);  // f32's, from the offset on
      const Numbers x = with_offset(k, type, step, offset), dout = draw_dout(k, type);
      const Numbers centred = with_offset(k, type, step, 0);
      Result want = reference(k, x, dout);
      const Tolerance t = tolerance(k, centred, dout, want.o, type, stream);
      auto got = run(k, x, dout);
      // dq in front is Σ_j dS_ij·offset: zero, and the offset times a rounding of dS.
      each_row(k.dims(), [&](std::size_t q) { got.dqkv[q] /= offset, want.dqkv[q] /= offset; });
      const double u = 2 * test::rounding(type);
      const std::string what = cat(k.tokens, " tokens, offset ", offset, " ", name_of(type));
      test::expect_close(got.o, want.o, u, t.o, "o, " + what);
      test::expect_close(got.dqkv, want.dqkv, u, t.dqkv, "dqkv, " + what);
    }
}

// f32 holds a log-sum-exp of 2^26 as a multiple of 8: probabilities taken from it alone would be
// wrong by factors of up to e^4.
TEST(AttentionKernels, ProbabilitiesSumToOneHoweverLargeTheScores) {
  const int threads = omp_get_max_threads();
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const int use : {1, 16}) {  // the CPU's two ways to share out the work
        omp_set_num_threads(use);
        expect_probabilities_sum_to_one(
            type, stream, [&](const Case& k, const Numbers& x, const Numbers& dout) {
              return std::visit([&](auto s) { return run_kernels(s, k, x, dout, type); }, stream);
            });
        omp_set_num_threads(threads);
      }
}

/// The gradient of a bias of k, Σ_j dk_j, is Σ_i q_i Σ_j dS_ij, and a row of dS sums to zero.
TEST(AttentionKernels, ABiasOfTheKeysHasNoGradient) {
  const Case k{"", 1, 130, 1, 32, QkvLayout::global};
  const AttentionDims d = k.dims();
  const auto at = [&](int t, int offset) {
    return ref::qkv_index(d, 0, t, 0) + std::size_t(offset);
  };
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16}) {
      // v far from zero: dout·o is then large beside what differs from key to key, and so would be
      // the error of a mean taken from o as it was rounded to bf16.
      Numbers x = draw_qkv(k, type);
      for (int t = 0; t < k.tokens; ++t)
        for (int c = 0; c < k.head_dim; ++c) {
          double& v = x[at(t, d.v_offset + c)];
          v = type == DType::bf16 ? float(bf16(float(v + 8))) : float(v + 8);
        }
      const Numbers dout = draw_dout(k, type);
      const auto got = std::visit([&](auto s) { return run_kernels(s, k, x, dout, type); }, stream);
      // Roundings of random sign, four standard deviations. Of dk_j as it is stored; of dS_ij where
      // it is a factor in bf16, relative to itself; and in f32 of dP_ij, a sum of head_dim terms,
      // and the mean's T.
      const auto p = ref::probabilities<double>(d, 0, 0, x.data(), nullptr);
      const double u = 2 * test::rounding(type), scale = 1 / std::sqrt(double(k.head_dim));
      for (int c = 0; c < k.head_dim; ++c) {
        double sum = 0, squares = 0;
        for (int t = 0; t < k.tokens; ++t) {
          const double dk = got.dqkv[at(t, d.k_offset + c)];
          sum += dk, squares += u * u * dk * dk;
        }
        for (int i = 0; i < k.tokens; ++i) {
          const double* const dy = &dout[ref::out_index(d, 0, i, 0)];
          Numbers dp(std::size_t(k.tokens));
          double mean = 0, largest = 0;
          for (int j = 0; j < k.tokens; ++j) {
            double& e = dp[std::size_t(j)];
            for (int b = 0; b < k.head_dim; ++b) e += dy[b] * x[at(j, d.v_offset + b)];
            mean += p[std::size_t(i * k.tokens + j)] * e, largest = std::max(largest, std::abs(e));
          }
          const double q = scale * x[at(i, c)];
          for (int j = 0; j < k.tokens; ++j) {
            const double ds = p[std::size_t(i * k.tokens + j)] * (dp[std::size_t(j)] - mean);
            squares += u * u * ds * ds * q * q;
          }
          squares += 0x1p-48 * (k.tokens + k.head_dim) * largest * largest * q * q;
        }
        EXPECT_LE(std::abs(sum), 4 * std::sqrt(squares)) << c << " " << name_of(type);
      }
    }
}

#if defined(HAZE_CUDA)
TEST(AttentionKernels, TheNaiveVersionMatchesToo) {
  const auto forward = [](CudaStream s, const AttentionDims& d, kernels::ConstAct qkv,
                          kernels::Act o, float* lse,
                          void*) { kernels::attention_forward_v1(s, d, qkv, o, lse); };
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16}) {
      if (std::holds_alternative<CpuStream>(stream)) continue;
      const auto run = [&](const Case& k, const Numbers& x, const Numbers& dout) {
        return run_kernels(std::get<CudaStream>(stream), k, x, dout, type, forward,
                           kernels::attention_backward_v1);
      };
      for (const Case& k :
           {Case{"", 2, 17, 2, 5, QkvLayout::per_head}, Case{"", 1, 130, 1, 33, QkvLayout::global},
            Case{"", 1, 3, 1, 140, QkvLayout::global}}) {
        const Numbers x = draw_qkv(k, type), dout = draw_dout(k, type);
        expect_reference(k, type, stream, run(k, x, dout), x, dout);
      }
      expect_probabilities_sum_to_one(type, stream, run);
    }
}

/// Forward's versions alone: o and lse against the reference.
void expect_forward(decltype(&kernels::attention_forward_v1) version, const Case& k, DType type) {
  const CudaStream s = std::get<CudaStream>(test::streams().back());
  const Numbers x = draw_qkv(k, type), dout = draw_dout(k, type);
  const Result want = reference(k, x, dout);
  Numbers o(k.out_size()), lse(std::size_t(k.n) * k.heads * k.tokens);
  ref::attention_forward(k.dims(), x.data(), o.data(), lse.data());
  const Array<CudaStream> in(s, x, type), out(s, k.out_size(), type),
      sums(s, lse.size(), DType::f32);
  version(s, k.dims(), {in.data(), type}, {out.data(), type}, static_cast<float*>(sums.data()));
  const Tolerance t = tolerance(k, x, dout, want.o, type, s);
  const std::string what = cat(k.tokens, " tokens, head_dim ", k.head_dim, " ", name_of(type));
  test::expect_close(out.values(), want.o, 2 * test::rounding(type), t.o, "o, " + what);
  // A score errs by 6 roundings of its largest size (tolerance()), the logarithm by a few of its own.
  double largest = 0;
  for (const double e : x) largest = std::max(largest, std::abs(e));
  const double score = std::sqrt(double(k.head_dim)) * largest * largest;
  test::expect_close(sums.values(), lse, 4 * 0x1p-24, (6 * score + 8) * 0x1p-24, "lse, " + what);
}

// Around the borders: a warp's 4 or 16 queries, tiles of 32 keys, blocks of 32 and 64 queries, steps
// of 16 numbers of a head, and the widths of the instances.
const Case kVersionCases[] = {
    {"", 2, 17, 2, 5, QkvLayout::per_head},   {"", 1, 130, 1, 33, QkvLayout::global},
    {"", 1, 3, 1, 140, QkvLayout::global},    {"", 1, 64, 2, 64, QkvLayout::per_head},
    {"", 3, 31, 1, 72, QkvLayout::global},    {"", 1, 65, 1, 16, QkvLayout::global, 3},
    {"", 1, 33, 1, 256, QkvLayout::per_head}, {"", 1, 1, 3, 8, QkvLayout::per_head},
};

TEST(AttentionKernels, TheOnlineVersionMatchesToo) {
  for (const Case& k : kVersionCases)
    for (const DType type : {DType::f32, DType::bf16})
      expect_forward(kernels::attention_forward_v2, k, type);
}

TEST(AttentionKernels, TheVersionOnTensorCoresMatchesToo) {
  for (const Case& k : kVersionCases) expect_forward(kernels::attention_forward_v3, k, DType::bf16);
}

TEST(AttentionKernels, VersionsRefuseWhatTheirIdeaDoesNotHold) {
  const AttentionDims many = AttentionDims::global(1, 25'001, 1, 8),
                      fewer = AttentionDims::global(1, 12'501, 1, 8);
  test::expect_check([&] { kernels::attention_forward_v1({}, many, {}, {}, nullptr); },
                     "25001 tokens; at most 25000");
  test::expect_check(
      [&] { kernels::attention_backward_v1({}, fewer, {}, {}, nullptr, {}, {}, nullptr); },
      "12501 tokens; at most 12500");
  const AttentionDims wide = AttentionDims::global(1, 4, 1, 264);
  for (const auto version : {kernels::attention_forward_v2, kernels::attention_forward_v3})
    test::expect_check([&] { version({}, wide, {}, {}, nullptr); }, "head_dim 264; at most 256");
  test::expect_check(
      [&] {
        kernels::attention_forward_v3({}, AttentionDims::global(1, 4, 1, 8), {}, {}, nullptr);
      },
      "activations are f32");
}

// A NaN loses every comparison for the maximum and has to reach the sums all the same.
TEST(AttentionKernels, VersionsLetANanThrough) {
  const CudaStream s = std::get<CudaStream>(test::streams().back());
  const Case k{"", 1, 70, 1, 8, QkvLayout::global};
  Numbers x = draw_qkv(k, DType::bf16);
  x[ref::qkv_index(k.dims(), 0, 66, 0) + std::size_t(k.dims().k_offset)] = NAN;
  for (const auto version : {kernels::attention_forward_v2, kernels::attention_forward_v3}) {
    const Array<CudaStream> in(s, x, DType::bf16), out(s, k.out_size(), DType::bf16),
        lse(s, 70, DType::f32);
    version(s, k.dims(), {in.data(), DType::bf16}, {out.data(), DType::bf16},
            static_cast<float*>(lse.data()));
    for (const double o : out.values()) EXPECT_TRUE(std::isnan(o));
    for (const double e : lse.values()) EXPECT_TRUE(std::isnan(e));
  }
}
#endif

}  // namespace
}  // namespace haze
