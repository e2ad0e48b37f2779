// SPDX-License-Identifier: MIT
// attention_test.cpp — scaled dot-product attention: the three proofs (see add_test.cpp), then what
// softmax makes risky (large scores, NaN) and that neither batch nor threads change a bit.
#include <omp.h>

#include "tests/kernels/attention_cases.h"

namespace haze {
namespace {
using namespace attention_cases;

const Case kCases[] = {
    {"one wide head", 2, 16, 1, 64, QkvLayout::per_head},
    {"many small heads", 2, 49, 8, 8, QkvLayout::global},
    {"many small heads, each beside its k and v", 1, 49, 8, 8, QkvLayout::per_head},
    {"one token", 3, 1, 2, 33, QkvLayout::global},
    {"heads of one number", 2, 7, 5, 1, QkvLayout::per_head},
    {"heads of three", 1, 130, 3, 3, QkvLayout::global},
    {"nothing divides a vector register", 1, 130, 2, 33, QkvLayout::per_head},
    {"two row blocks, whole pieces of 16 bytes", 1, 70, 2, 40, QkvLayout::global},
    {"three chunks of head_dim on CUDA", 1, 33, 1, 264, QkvLayout::per_head},
    {"two chunks, rows that are not aligned", 1, 17, 2, 129, QkvLayout::global},
    {"scores beyond 80", 2, 33, 2, 16, QkvLayout::global, 5},
};

TEST(Attention, GradientMatchesFiniteDifferences) {
  for (const Case& k : kCases) {
    if (k.spread > 1) continue;  // too curved for a step of 1e-5; the comparison below covers it
    const Numbers x = draw_qkv(k, DType::f32), dout = draw_dout(k, DType::f32);
    const auto f = [&](const Numbers& in) {
      Numbers y(k.out_size()), lse(std::size_t(k.n) * k.heads * k.tokens);
      ref::attention_forward(k.dims(), in.data(), y.data(), lse.data());
      return y;
    };
    // Third derivatives times h² = 1e-10, and rounding of f over h = 1e-11, both below 1e-6.
    test::expect_gradient(f, x, dout, reference(k, x, dout).dqkv, 1e-6, k.why);
  }
}

TEST(Attention, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const Case& k : kCases) {
        const Numbers x = draw_qkv(k, type), dout = draw_dout(k, type);
        const Result want = reference(k, x, dout), got = on_tape(k, x, dout, type, stream);
        const Tolerance t = tolerance(k, x, dout, want.o, type, stream);
        const double u = 2 * test::rounding(type);  // one rounding of the result
        test::expect_close(got.o, want.o, u, t.o, cat(k.why, ", o ", name_of(type)));
        test::expect_close(got.dqkv, want.dqkv, u, t.dqkv, cat(k.why, ", dqkv ", name_of(type)));
      }
}

TEST(Attention, LayoutsByHand) {
  // Two heads of one number, two tokens. Head 0: q = k = 0, so the
  // mean of v. Head 1: q = (1, 0), k = (0, 30): token 0 sees only
  // token 1, token 1 both alike; with q and k exchanged it would not.
  const auto run = [](Stream stream, const Numbers& qkv, QkvLayout layout) {
    engine::Context context(stream);
    engine::Tape tape(context);
    return test::value_of(tape, engine::attention(tape, leaf(tape, {1, 2, 6}, qkv), 2, layout));
  };
  const Numbers want{150, 7, 150, 6};
  const Numbers q_k_v_of_each_head{0, 0, 100, 1, 0, 5, 0, 0, 200, 0, 30, 7};
  const Numbers heads_of_q_then_k_then_v{0, 1, 0, 0, 100, 5, 0, 0, 0, 30, 200, 7};
  for (const Stream stream : test::streams()) {
    test::expect_close(run(stream, q_k_v_of_each_head, QkvLayout::per_head), want, 1e-6, 0,
                       "per head");
    test::expect_close(run(stream, heads_of_q_then_k_then_v, QkvLayout::global), want, 1e-6, 0,
                       "global");
  }
}

TEST(Attention, KeepsTheLogSumExp) {
  for (const Stream stream : test::streams()) {
    const auto log_sum_exp = [&](const Case& k, const Numbers& x) {
      const Numbers dout(k.out_size());
      return std::visit([&](auto s) { return run_kernels(s, k, x, dout, DType::f32).lse; }, stream);
    };
    for (const Case& k : kCases) {
      const Numbers x = draw_qkv(k, DType::f32);
      Numbers o(k.out_size()), want(std::size_t(k.n) * k.heads * k.tokens);
      ref::attention_forward(k.dims(), x.data(), o.data(), want.data());
      // Scores within ±150 err by a few of their roundings, the logarithm by 1e-7.
      test::expect_close(log_sum_exp(k, x), want, 4 * 0x1p-24, k.spread * k.spread * 1e-5, k.why);
    }
    Numbers x = draw_qkv(kCases[0], DType::f32);
    const AttentionDims d = kCases[0].dims();  // one head
    x[ref::qkv_index(d, 1, 3, 0) + std::size_t(d.k_offset)] = NAN;
    const auto lse = log_sum_exp(kCases[0], x);
    for (std::size_t i = 0; i < lse.size(); ++i) EXPECT_EQ(std::isnan(lse[i]), i >= 16) << i;
  }
}

TEST(Attention, AddsToTheGradientThatIsThere) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const Case& k : {kCases[1], kCases[6], kCases[9]}) {
        const Numbers x = draw_qkv(k, type), dout = draw_dout(k, type);
        const Numbers before = test::normal(x.size(), 3, 0, 1, type);
        const Result reference_result = reference(k, x, dout);
        Numbers want = reference_result.dqkv;
        for (std::size_t i = 0; i < want.size(); ++i) want[i] += before[i];
        const auto got = std::visit(
            [&](auto s) { return run_kernels(s, k, x, dout, type, before).dqkv; }, stream);
        const Tolerance t = tolerance(k, x, dout, reference_result.o, type, stream);
        test::expect_close(got, want, 2 * test::rounding(type), t.dqkv, cat(k.why, name_of(type)));
      }
}

TEST(Attention, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  const Case& k = kCases[1];
  const Numbers x = draw_qkv(k, DType::f32), dout = draw_dout(k, DType::f32);
  const Result want = reference(k, x, dout);
  for (const Stream stream : test::streams()) {
    engine::Context context(stream);
    engine::Tape tape(context);
    const auto in = leaf(tape, k.in_shape(), x), frozen = leaf(tape, k.in_shape(), x, false);
    const auto once = engine::attention(tape, in, k.heads, k.layout);
    const auto more = engine::add(tape, once, engine::attention(tape, in, k.heads, k.layout));
    const auto y = engine::add(tape, more, engine::attention(tape, frozen, k.heads, k.layout));
    tape.backward(y, test::to_tensor(tape, k.out_shape(), dout));
    const double atol = 2 * tolerance(k, x, dout, want.o, DType::f32).dqkv;
    test::expect_close(test::grad_of(tape, in), test::times(want.dqkv, 2), 0x1p-23, atol, "twice");
    EXPECT_FALSE(tape.grad(frozen));
  }
}

bool all_nan(const Numbers& v, std::size_t from, std::size_t n) {
  return std::all_of(&v[from], &v[from] + n, [](double e) { return std::isnan(e); });
}

void expect_nan_spreads(Stream stream, DType type) {
  const Case k{"", 2, 40, 2, 5, QkvLayout::global};
  const AttentionDims d = k.dims();
  const Numbers dout = draw_dout(k, type);
  for (const int offset : {0, d.k_offset, d.v_offset}) {
    Numbers x = draw_qkv(k, type);
    x[ref::qkv_index(d, 0, 37, 1) + std::size_t(offset + 3)] = NAN;
    const Result r = on_tape(k, x, dout, type, stream);
    for (int t = 0; t < k.tokens; ++t) {
      const std::size_t at = ref::out_index(d, 0, t, 1), other = ref::out_index(d, 1, t, 1);
      const bool reached = offset != 0 || t == 37;  // q reaches its own row, k and v every row
      EXPECT_EQ(std::isnan(r.o[at + 3]), reached) << "offset " << offset << " token " << t;
      EXPECT_EQ(all_nan(r.o, at, 5), reached && offset != d.v_offset) << t;
      EXPECT_FALSE(std::isnan(r.o[at - 5])) << "the other head, token " << t;
      EXPECT_FALSE(std::isnan(r.o[other])) << "the other image, token " << t;
      EXPECT_TRUE(std::isnan(r.dqkv[ref::qkv_index(d, 0, t, 1) + std::size_t(d.k_offset)])) << t;
    }
  }
  Numbers bad = dout;
  bad[ref::out_index(d, 0, 37, 1) + 3] = NAN;
  const Result r = on_tape(k, draw_qkv(k, type), bad, type, stream);
  EXPECT_TRUE(std::isnan(r.dqkv[ref::qkv_index(d, 0, 2, 1) + std::size_t(d.v_offset) + 3]));
  EXPECT_TRUE(std::isnan(r.dqkv[ref::qkv_index(d, 0, 37, 1)]));
}

TEST(Attention, ANanComesOutAsNan) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16}) expect_nan_spreads(stream, type);
}

TEST(Attention, InfiniteScoresAreNanNotZero) {
  Numbers x = test::normal(2 * 3 * 4, 1);
  x[0] = INFINITY;
  const Case k{"", 1, 2, 1, 4, QkvLayout::global};
  for (const Stream stream : test::streams()) {
    const Result r = on_tape(k, x, test::normal(8, 2), DType::f32, stream);
    EXPECT_TRUE(all_nan(r.o, 0, 4));
    EXPECT_TRUE(std::isnan(r.dqkv[0]));
  }
}

/// The numbers of image n out of `images`.
Numbers image(const Numbers& v, int n, int images) {
  const auto size = std::ptrdiff_t(v.size()) / images;
  return {v.begin() + n * size, v.begin() + (n + 1) * size};
}

TEST(Attention, NeitherBatchNorThreadsChangeABit) {
  // Large enough that threads overlap; with 7 threads one image's backward is split (3 heads).
  const Case batch{"", 5, 130, 3, 33, QkvLayout::per_head},
      one{"", 1, 130, 3, 33, QkvLayout::per_head};
  const int threads = omp_get_max_threads();
  for (const DType type : {DType::f32, DType::bf16}) {
    const Numbers x = draw_qkv(batch, type), dout = draw_dout(batch, type);
    omp_set_num_threads(1);
    const Result want = on_tape(batch, x, dout, type, CpuStream{});
    for (const int use : {1, 2, 7}) {
      omp_set_num_threads(use);
      const Result again = on_tape(batch, x, dout, type, CpuStream{});
      EXPECT_TRUE(again.o == want.o && again.dqkv == want.dqkv) << use << " threads";
      for (const int n : {0, 4}) {
        const Result r = on_tape(one, image(x, n, 5), image(dout, n, 5), type, CpuStream{});
        EXPECT_TRUE(r.o == image(want.o, n, 5)) << "image " << n << ", threads " << use;
        EXPECT_TRUE(r.dqkv == image(want.dqkv, n, 5)) << "image " << n << ", threads " << use;
      }
    }
    omp_set_num_threads(threads);
  }
}

TEST(Attention, CudaGivesTheSameBitsAgainAndForEachImageAlone) {
  const Case batch{"", 3, 70, 2, 33, QkvLayout::per_head}, one{"", 1, 70, 2, 33, batch.layout};
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16}) {
      if (std::holds_alternative<CpuStream>(stream)) continue;
      const Numbers x = draw_qkv(batch, type), dout = draw_dout(batch, type);
      const Result want = on_tape(batch, x, dout, type, stream);
      const Result again = on_tape(batch, x, dout, type, stream);
      EXPECT_TRUE(again.o == want.o && again.dqkv == want.dqkv) << name_of(type);
      const Result r = on_tape(one, image(x, 2, 3), image(dout, 2, 3), type, stream);
      EXPECT_TRUE(r.o == image(want.o, 2, 3)) << name_of(type);
      EXPECT_TRUE(r.dqkv == image(want.dqkv, 2, 3)) << name_of(type);
    }
}

TEST(Attention, SplitBackwardAddsUpToo) {
  const int threads = omp_get_max_threads();
  omp_set_num_threads(16);
  const Case k{"", 2, 150, 1, 7, QkvLayout::global};
  const Numbers x = draw_qkv(k, DType::f32), dout = draw_dout(k, DType::f32);
  engine::Context context{CpuStream{}};
  engine::Tape tape(context);
  const auto in = leaf(tape, k.in_shape(), x);
  const auto y = engine::add(tape, engine::attention(tape, in, 1, k.layout),
                             engine::attention(tape, in, 1, k.layout));
  tape.backward(y, test::to_tensor(tape, k.out_shape(), dout));
  omp_set_num_threads(threads);
  const Result want = reference(k, x, dout);
  const double atol = 2 * tolerance(k, x, dout, want.o, DType::f32).dqkv;
  test::expect_close(test::grad_of(tape, in), test::times(want.dqkv, 2), 0x1p-23, atol, "twice");
}

TEST(Attention, ScratchDoesNotGrowWithTheBatch) {
  const auto bytes = [](int n) {
    const auto d = AttentionDims::global(n, 64, 4, 8);
    return std::pair{kernels::attention_forward_scratch_bytes(CpuStream{}, d, DType::bf16),
                     kernels::attention_backward_scratch_bytes(CpuStream{}, d, DType::bf16)};
  };
  EXPECT_EQ(bytes(1), bytes(64));
}

TEST(Attention, RefusesShapesThatAreNoProjection) {
  engine::Context context{CpuStream{}};
  engine::Tape tape(context);
  const auto flat = leaf(tape, {4, 12}, test::normal(48, 1));
  const auto odd = leaf(tape, {2, 2, 12}, test::normal(48, 1));
  test::expect_check([&] { engine::attention(tape, flat, 1, QkvLayout::global); }, "qkv is [4,12]");
  test::expect_check([&] { engine::attention(tape, odd, 3, QkvLayout::global); },
                     "qkv is [2,2,12], heads 3");
  test::expect_check([&] { engine::attention(tape, odd, 0, QkvLayout::global); }, "heads 0");
}

}  // namespace
}  // namespace haze
