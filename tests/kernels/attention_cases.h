// SPDX-License-Identifier: MIT
// attention_cases.h — what the tests of attention share: shapes, inputs, the reference's answer,
// the op's, and how far apart the two may be.
#pragma once
#include "kernels/attention/reference.h"
#include "kernels/runtime/memory.h"
#include "tests/support/tape.h"

namespace haze::attention_cases {
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

/// qkv with q and k of the case's spread and v of unit variance.
inline Numbers draw_qkv(const Case& k, DType type) {
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
inline Numbers draw_dout(const Case& k, DType type) {
  return test::normal(k.out_size(), 2, 0, 1, type);
}

struct Result {
  Numbers o, dqkv;
};
inline Result reference(const Case& k, const Numbers& x, const Numbers& dout) {
  Result r{Numbers(k.out_size()), Numbers(x.size())};
  Numbers lse(std::size_t(k.n) * k.heads * k.tokens);
  ref::attention_forward(k.dims(), x.data(), r.o.data(), lse.data());
  ref::attention_backward(k.dims(), x.data(), dout.data(), r.dqkv.data());
  return r;
}
inline Result on_tape(const Case& k, const Numbers& x, const Numbers& dout, DType type,
                      Stream stream) {
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

/// What rounding the weights P and dS to bf16 may cost, at most: the tensor cores take them so.
struct WeightRounding {
  double o = 0, dqkv = 0;
};
inline WeightRounding weight_rounding(const Case& k, const Numbers& x, const Numbers& dout) {
  const AttentionDims d = k.dims();
  WeightRounding most;
  for (int n = 0; n < d.n; ++n)
    for (int h = 0; h < d.heads; ++h) {
      const auto p = ref::probabilities<double>(d, n, h, x.data(), nullptr);
      const auto at = [&](const Numbers& v, int t, int offset) {
        return &v[ref::qkv_index(d, n, t, h) + std::size_t(offset)];
      };
      const std::size_t tokens = std::size_t(d.tokens);
      Numbers ds(tokens * tokens);
      for (std::size_t i = 0; i < tokens; ++i) {
        const double* dy = &dout[ref::out_index(d, n, int(i), h)];
        double mean = 0;
        for (std::size_t j = 0; j < tokens; ++j) {
          for (int c = 0; c < d.head_dim; ++c)
            ds[i * tokens + j] += dy[c] * at(x, int(j), d.v_offset)[c];
          mean += p[i * tokens + j] * ds[i * tokens + j];
        }
        for (std::size_t j = 0; j < tokens; ++j)
          ds[i * tokens + j] = p[i * tokens + j] * std::abs(ds[i * tokens + j] - mean) /
                               std::sqrt(double(d.head_dim));
      }
      for (int t = 0; t < d.tokens; ++t)
        for (int c = 0; c < d.head_dim; ++c) {
          double o = 0, dq = 0, dk = 0, dv = 0;
          for (int j = 0; j < d.tokens; ++j) {
            const std::size_t row = std::size_t(t) * tokens + std::size_t(j),
                              column = std::size_t(j) * tokens + std::size_t(t);
            o += p[row] * std::abs(at(x, j, d.v_offset)[c]);
            dq += ds[row] * std::abs(at(x, j, d.k_offset)[c]);
            dk += ds[column] * std::abs(at(x, j, 0)[c]);
            dv += p[column] * std::abs(dout[ref::out_index(d, n, j, h) + std::size_t(c)]);
          }
          most.o = std::max(most.o, o);
          most.dqkv = std::max({most.dqkv, dq, dk, dv});
        }
    }
  return {0x1p-9 * most.o, 0x1p-9 * most.dqkv};
}

/// Tolerances from the sizes of what is summed; u = 2^-24 is one f32 rounding.
struct Tolerance {
  double o, dqkv;
};
inline Tolerance tolerance(const Case& k, const Numbers& x, const Numbers& dout, const Numbers& o,
                           DType type, Stream stream = CpuStream{}) {
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
  // dout·o is taken with o rounded to bf16: errors of 2^-8/sqrt(3)
  // per element of random sign, 4 standard deviations.
  if (type == DType::bf16)
    dqk += std::max(1.0, column) * qk * scale * 4 * 0x1p-8 / std::sqrt(3.) * y * o_norm;
  WeightRounding rounding;
  if (type == DType::bf16 && !std::holds_alternative<CpuStream>(stream))
    rounding = weight_rounding(k, x, dout);
  return {v * sum_error + rounding.o,
          std::max(dqk, std::max(1.0, column) * y * sum_error) + rounding.dqkv};
}

/// An array of `type` on `stream`'s device.
template <class S>
class Array {
 public:
  Array(S stream, std::size_t n, DType type)
      : s_(stream), n_(n), type_(type), data_(kernels::allocate(stream, n * size_of(type) + 1)) {}
  Array(S stream, const Numbers& v, DType type) : Array(stream, v.size(), type) {
    const std::vector<float> wide(v.begin(), v.end());
    std::vector<bf16> half;
    for (const float f : wide) half.emplace_back(f);
    const void* from = type == DType::f32 ? static_cast<const void*>(wide.data()) : half.data();
    kernels::copy_in(s_, data_, from, n_ * size_of(type_));
  }
  Array(const Array&) = delete;
  ~Array() { kernels::release(s_, data_); }
  void* data() const { return data_; }
  Numbers values() const {
    std::vector<float> wide(n_);
    std::vector<bf16> half(n_);
    void* to = type_ == DType::f32 ? static_cast<void*>(wide.data()) : half.data();
    kernels::copy_out(s_, to, data_, n_ * size_of(type_));
    if (type_ == DType::bf16) return {half.begin(), half.end()};
    return {wide.begin(), wide.end()};
  }

 private:
  S s_;
  std::size_t n_;
  DType type_;
  void* data_;
};

struct KernelResult {
  Numbers o, dqkv, lse;
};
/// Forward and backward as functions of (stream, dims, ..., scratch), without a tape. dqkv is added
/// to `before` where that is given.
template <class S, class Forward, class Backward>
KernelResult run_kernels(S s, const Case& k, const Numbers& x, const Numbers& dout, DType type,
                         Forward forward, Backward backward, const Numbers& before = {}) {
  const AttentionDims d = k.dims();
  const Array<S> in(s, x, type), dy(s, dout, type), o(s, k.out_size(), type),
      lse(s, std::size_t(k.n) * k.heads * k.tokens, DType::f32),
      dqkv(s, before.empty() ? Numbers(x.size(), 7) : before, type),
      scratch(s,
              std::max(kernels::attention_forward_scratch_bytes(s, d, type),
                       kernels::attention_backward_scratch_bytes(s, d, type)) /
                      4 +
                  1,
              DType::f32);
  float* const row_lse = static_cast<float*>(lse.data());
  forward(s, d, {in.data(), type}, {o.data(), type}, row_lse, scratch.data());
  const kernels::Write write = before.empty() ? kernels::Write::overwrite : kernels::Write::add;
  backward(s, d, {in.data(), type}, {o.data(), type}, row_lse, {dy.data(), type},
           {dqkv.data(), type, write}, scratch.data());
  return {o.values(), dqkv.values(), lse.values()};
}
template <class S>
KernelResult run_kernels(S s, const Case& k, const Numbers& x, const Numbers& dout, DType type,
                         const Numbers& before = {}) {
  return run_kernels(s, k, x, dout, type, kernels::attention_forward<S>,
                     kernels::attention_backward<S>, before);
}

}  // namespace haze::attention_cases
