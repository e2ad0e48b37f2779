// SPDX-License-Identifier: MIT
// forward.cpp — CPU backend of attention's forward: one task per image, head and block of queries.
// K and V of a head are read from cache by each of its blocks; scores stay there.
#include <omp.h>

#include "kernels/attention/cpu.h"
#include "kernels/base/stream.h"

namespace haze::kernels {
namespace {
using namespace attention;

struct Scratch {
  Carver carver;
  float *k, *v;  // [tokens, d], bf16 only
  float *q, *o;  // [d, kBlock]
  float* s;      // [tokens, kBlock]
  Scratch(float* base, const AttentionDims& d, DType type) : carver{base} {
    const std::size_t head = std::size_t(d.tokens) * d.head_dim;
    const std::size_t converted = type == DType::f32 ? 0 : head;
    k = carver.take(converted);
    v = carver.take(converted);
    q = carver.take(std::size_t(d.head_dim) * kBlock);
    o = carver.take(std::size_t(d.head_dim) * kBlock);
    s = carver.take(std::size_t(d.tokens) * kBlock);
  }
};

/// lse[r], the log-sum-exp of the scaled scores, from what softmax_weights made of them.
template <int kL>
void log_sums(float scale, const float* largest, const float* inverse, float* lse) {
#pragma omp simd
  for (int r = 0; r < kL; ++r) {
    const float log_sum = -log_unit_f32(inverse[r]);
    lse[r] = inverse[r] == inverse[r] ? std::fma(largest[r], scale, log_sum) : inverse[r];
  }
}

template <class T>
void forward(const AttentionDims& d, const T* qkv, T* o, float* lse, float* scratch) {
  const std::size_t floats = Scratch(nullptr, d, dtype_of<T>).carver.used;
  const std::int64_t blocks = (d.tokens + kBlock - 1) / kBlock;
  const std::int64_t tasks = blocks * d.n * d.heads;
  const float scale = 1.0f / std::sqrt(float(d.head_dim));
#pragma omp parallel num_threads(omp_get_max_threads())
  {
    const Scratch own(scratch + floats * std::size_t(omp_get_thread_num()), d, dtype_of<T>);
    std::int64_t loaded = -1;  // whose K and V `k` and `v` are
    Broadcast k{}, v{};
#pragma omp for schedule(static)
    for (std::int64_t task = 0; task < tasks; ++task) {
      const std::int64_t head = task / blocks;
      const Heads<const T> in(d, qkv, std::size_t(head));
      if (loaded != head) {
        k = as_f32(in.k, in.stride, d.tokens, d.head_dim, own.k);
        v = as_f32(in.v, in.stride, d.tokens, d.head_dim, own.v);
        loaded = head;
      }
      const int first = int(task % blocks) * kBlock, rows = std::min(kBlock, d.tokens - first);
      with_lanes(rows, [&](auto lanes) {
        constexpr int kL = lanes;
        alignas(64) float largest[kL], inverse[kL], row_lse[kL];
        pack_columns<kL>(in.q + first * in.stride, in.stride, rows, d.head_dim, own.q);
        product(d.tokens, kL, d.head_dim, k, {own.q, kL}, {own.s, kL});
        softmax_weights<kL>(d.tokens, scale, own.s, largest, inverse);
        log_sums<kL>(scale, largest, inverse, row_lse);
        product(d.head_dim, kL, d.tokens, transposed(v), {own.s, kL}, {own.o, kL});
        T* out = out_rows(d, o, std::size_t(head)) + std::ptrdiff_t(first) * d.channels();
        unpack_columns<kL, false>(own.o, inverse, rows, d.head_dim, out, d.channels());
        std::copy_n(row_lse, rows, lse + head * d.tokens + first);
      });
    }
  }
}

}  // namespace

template <>
std::size_t attention_forward_scratch_bytes(CpuStream, const AttentionDims& d, DType type) {
  return Scratch(nullptr, d, type).carver.used * sizeof(float) * std::size_t(omp_get_max_threads());
}

template <>
void attention_forward(CpuStream, const AttentionDims& d, ConstAct qkv, Act o, float* lse,
                       void* scratch) {
  dispatch(qkv.dtype, [&]<class T>(T) {
    forward(d, qkv.as<T>(), o.as<T>(), lse, static_cast<float*>(scratch));
  });
}

}  // namespace haze::kernels
