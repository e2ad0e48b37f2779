// attention_test.cpp — scaled dot-product attention: the three proofs (see add_test.cpp), then what
// softmax makes risky (large scores, NaN) and that neither batch nor threads change a bit.
#include <omp.h>

#include "kernels/attention/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::QkvLayout;
using kernels::AttentionDims;
namespace ref = kernels::reference;
using test::leaf;
using Numbers = std::vector<double>;

struct Case {
  const char* why;
  int n, tokens, heads, head_dim;
  QkvLayout layout;
  double spread = 1;  // standard deviation of q and k: scores have its square
  AttentionDims dims() const {
    return layout == QkvLayout::per_head ? AttentionDims::per_head(n, tokens, heads, head_dim)
                                         : AttentionDims::global(n, tokens, heads, head_dim);
  }
  int channels() const { return heads * head_dim; }
  std::size_t out_size() const { return std::size_t(n) * tokens * channels(); }
  engine::Shape in_shape() const { return {n, tokens, 3 * channels()}; }
  engine::Shape out_shape() const { return {n, tokens, channels()}; }
};
const Case kCases[] = {
    {"one wide head", 2, 16, 1, 64, QkvLayout::per_head},
    {"many small heads", 2, 49, 8, 8, QkvLayout::global},
    {"many small heads, each beside its k and v", 1, 49, 8, 8, QkvLayout::per_head},
    {"one token", 3, 1, 2, 33, QkvLayout::global},
    {"heads of one number", 2, 7, 5, 1, QkvLayout::per_head},
    {"heads of three", 1, 130, 3, 3, QkvLayout::global},
    {"nothing divides a vector register", 1, 130, 2, 33, QkvLayout::per_head},
    {"scores beyond 80", 2, 33, 2, 16, QkvLayout::global, 5},
};

/// qkv with q and k of the case's spread and v of unit variance.
Numbers draw_qkv(const Case& k, DType type) {
  const AttentionDims d = k.dims();
  Numbers x = test::normal(3 * k.out_size(), 1);
  for (int n = 0; n < d.n; ++n)
    for (int t = 0; t < d.tokens; ++t)
      for (int h = 0; h < d.heads; ++h)
        for (int c = 0; c < d.head_dim; ++c)
          for (const int offset : {0, d.k_offset})
            x[ref::qkv_index(d, n, t, h) + std::size_t(offset + c)] *= k.spread;
  for (double& e : x) e = type == DType::bf16 ? float(bf16(float(e))) : float(e);
  return x;
}
Numbers draw_dout(const Case& k, DType type) { return test::normal(k.out_size(), 2, 0, 1, type); }

struct Result {
  Numbers o, dqkv;
};
Result reference(const Case& k, const Numbers& x, const Numbers& dout) {
  Result r{Numbers(k.out_size()), Numbers(x.size())};
  Numbers lse(std::size_t(k.n) * k.heads * k.tokens);
  ref::attention_forward(k.dims(), x.data(), r.o.data(), lse.data());
  ref::attention_backward(k.dims(), x.data(), dout.data(), r.dqkv.data());
  return r;
}
Result on_tape(const Case& k, const Numbers& x, const Numbers& dout, DType type, Stream stream) {
  engine::Context context(stream, type);
  engine::Tape tape(context);
  const auto in = leaf(tape, k.in_shape(), x, true, type);
  const auto out = engine::attention(tape, in, k.heads, k.layout);
  EXPECT_EQ(tape.value(out).shape, k.out_shape()) << k.why;
  Result r{test::value_of(tape, out), {}};
  tape.backward(out, test::to_tensor(tape, k.out_shape(), dout, type));
  r.dqkv = test::grad_of(tape, in);
  return r;
}

/// Tolerances from the sizes of what is summed; u = 2^-24 is one f32 rounding.
struct Tolerance {
  double o, dqkv;
};
Tolerance tolerance(const Case& k, const Numbers& x, const Numbers& dout, const Numbers& o,
                    DType type) {
  const AttentionDims d = k.dims();
  const double u = 0x1p-24, scale = 1 / std::sqrt(double(d.head_dim));
  double q_norm = 0, k_norm = 0, v_norm = 0, y_norm = 0, o_norm = 0, qk = 0, v = 0, y = 0,
         column = 0;
  for (int n = 0; n < d.n; ++n)
    for (int h = 0; h < d.heads; ++h) {
      const auto p = ref::probabilities<double>(d, n, h, x.data(), nullptr);
      for (int t = 0; t < d.tokens; ++t) {
        const double* q = &x[ref::qkv_index(d, n, t, h)];
        const double *dy = &dout[ref::out_index(d, n, t, h)], *out = &o[ref::out_index(d, n, t, h)];
        double sum = 0, qq = 0, kk = 0, vv = 0, yy = 0, oo = 0;
        for (int i = 0; i < d.tokens; ++i) sum += p[std::size_t(i) * d.tokens + t];
        for (int c = 0; c < d.head_dim; ++c) {
          const double kc = q[d.k_offset + c], vc = q[d.v_offset + c];
          qq += q[c] * q[c], kk += kc * kc, vv += vc * vc, yy += dy[c] * dy[c],
              oo += out[c] * out[c];
          qk = std::max({qk, std::abs(q[c]), std::abs(kc)});
          v = std::max(v, std::abs(vc)), y = std::max(y, std::abs(dy[c]));
        }
        q_norm = std::max(q_norm, std::sqrt(qq)), k_norm = std::max(k_norm, std::sqrt(kk));
        v_norm = std::max(v_norm, std::sqrt(vv)), y_norm = std::max(y_norm, std::sqrt(yy));
        o_norm = std::max(o_norm, std::sqrt(oo)), column = std::max(column, sum);
      }
    }
  // A score is at most q_norm·k_norm·scale. Its sum, its scaling and the subtraction of lse err by
  // a few u of that; exp turns an absolute error into a relative one and adds 4 u of its own.
  const double p_error = u * (6 * q_norm * k_norm * scale + 8);
  // A sum over tokens errs by the weights' error, twice for the softmax's numerator and
  // denominator, and by its own roundings, which add up like a random walk.
  const double sum_error = 2 * p_error + u * std::sqrt(double(d.tokens));
  // |dS_ij| <= P_ij · scale · 2 y_norm v_norm; a row of P sums to 1, a column to at most `column`.
  const double ds = 2 * scale * y_norm * v_norm;
  double dqk = std::max(1.0, column) * qk * ds * (sum_error + 4 * u);
  // dout·o is taken with o rounded to bf16: errors of 2^-8/sqrt(3) per element of random sign, 4
  // standard deviations.
  if (type == DType::bf16)
    dqk += std::max(1.0, column) * qk * scale * 4 * 0x1p-8 / std::sqrt(3.) * y * o_norm;
  return {v * sum_error, std::max(dqk, std::max(1.0, column) * y * sum_error)};
}

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
        const Tolerance t = tolerance(k, x, dout, want.o, type);
        const double u = 2 * test::rounding(type);  // one rounding of the result
        test::expect_close(got.o, want.o, u, t.o, cat(k.why, ", o ", name_of(type)));
        test::expect_close(got.dqkv, want.dqkv, u, t.dqkv, cat(k.why, ", dqkv ", name_of(type)));
      }
}

TEST(Attention, LayoutsByHand) {
  // Two heads of one number, two tokens. Head 0: q = k = 0, so the mean of v. Head 1: q = (1, 0),
  // k = (0, 30): token 0 sees only token 1, token 1 both alike; with q and k exchanged it would
  // not.
  const auto run = [](const Numbers& qkv, QkvLayout layout) {
    engine::Context context{CpuStream{}};
    engine::Tape tape(context);
    return test::value_of(tape, engine::attention(tape, leaf(tape, {1, 2, 6}, qkv), 2, layout));
  };
  const Numbers want{150, 7, 150, 6};
  const Numbers q_k_v_of_each_head{0, 0, 100, 1, 0, 5, 0, 0, 200, 0, 30, 7};
  const Numbers heads_of_q_then_k_then_v{0, 1, 0, 0, 100, 5, 0, 0, 0, 30, 200, 7};
  test::expect_close(run(q_k_v_of_each_head, QkvLayout::per_head), want, 1e-6, 0, "per head");
  test::expect_close(run(heads_of_q_then_k_then_v, QkvLayout::global), want, 1e-6, 0, "global");
}

/// The log-sum-exp [n,heads,tokens] that attention_forward leaves for backward.
std::vector<float> log_sum_exp(const Case& k, const Numbers& x) {
  const AttentionDims d = k.dims();
  const std::vector<float> qkv(x.begin(), x.end());
  std::vector<float> out(k.out_size()), lse(std::size_t(k.n) * k.heads * k.tokens);
  const auto bytes = kernels::attention_forward_scratch_bytes(CpuStream{}, d, DType::f32);
  const std::shared_ptr<void> scratch(kernels::allocate(CpuStream{}, bytes),
                                      [](void* p) { kernels::release(CpuStream{}, p); });
  kernels::attention_forward(CpuStream{}, d, {qkv.data()}, {out.data()}, lse.data(), scratch.get());
  return lse;
}

TEST(Attention, KeepsTheLogSumExp) {
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

TEST(Attention, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  const Case& k = kCases[1];
  const Numbers x = draw_qkv(k, DType::f32), dout = draw_dout(k, DType::f32);
  const Result want = reference(k, x, dout);
  engine::Context context{CpuStream{}};
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

bool all_nan(const Numbers& v, std::size_t from, std::size_t n) {
  return std::all_of(&v[from], &v[from] + n, [](double e) { return std::isnan(e); });
}

TEST(Attention, ANanComesOutAsNan) {
  const Case k{"", 2, 40, 2, 5, QkvLayout::global};
  const AttentionDims d = k.dims();
  const Numbers dout = draw_dout(k, DType::f32);
  for (const int offset : {0, d.k_offset, d.v_offset}) {
    Numbers x = draw_qkv(k, DType::f32);
    x[ref::qkv_index(d, 0, 37, 1) + std::size_t(offset + 3)] = NAN;
    const Result r = on_tape(k, x, dout, DType::f32, CpuStream{});
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
  const Result r = on_tape(k, draw_qkv(k, DType::f32), bad, DType::f32, CpuStream{});
  EXPECT_TRUE(std::isnan(r.dqkv[ref::qkv_index(d, 0, 2, 1) + std::size_t(d.v_offset) + 3]));
  EXPECT_TRUE(std::isnan(r.dqkv[ref::qkv_index(d, 0, 37, 1)]));
}

TEST(Attention, InfiniteScoresAreNanNotZero) {
  Numbers x = test::normal(2 * 3 * 4, 1);
  x[0] = INFINITY;
  const Case k{"", 1, 2, 1, 4, QkvLayout::global};
  const Result r = on_tape(k, x, test::normal(8, 2), DType::f32, CpuStream{});
  EXPECT_TRUE(all_nan(r.o, 0, 4));
  EXPECT_TRUE(std::isnan(r.dqkv[0]));
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
