// SPDX-License-Identifier: MIT
// attention_trace_test.cpp — what attention's CUDA kernels promise about memory: no race, no bank
// conflict, every operand read once per block of rows, and no product beyond the scheme's.
#include "kernels/attention/attention.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using kernels::AttentionDims;
using test::DeviceBuffer;

template <class T>
std::vector<T> some(std::size_t n) {
  std::vector<T> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = float(i * 7 % 23) / 16 - 0.7f;
  return v;
}

struct Pointers {
  const void *qkv, *o, *dout, *dqkv;
};

/// Forward and backward under the tracer.
template <class T>
std::unique_ptr<simt::Trace> trace_of(const AttentionDims& d, Pointers& p,
                                      simt::Schedule schedule = {}) {
  return test::traced(
      [&] {
        const CudaStream s{};
        const DType type = dtype_of<T>;
        const std::size_t rows = std::size_t(d.n) * std::size_t(d.tokens),
                          size = rows * std::size_t(d.channels());
        const DeviceBuffer<T> qkv(some<T>(3 * size)), o(size), dout(some<T>(size)), dqkv(3 * size);
        const DeviceBuffer<float> lse(rows * std::size_t(d.heads));
        const DeviceBuffer<std::uint8_t> scratch(
            kernels::attention_backward_scratch_bytes(s, d, type));
        p = {qkv.p, o.p, dout.p, dqkv.p};
        kernels::attention_forward(s, d, {qkv.p, type}, {o.p, type}, lse.p, nullptr);
        kernels::attention_backward(s, d, {qkv.p, type}, {o.p, type}, lse.p, {dout.p, type},
                                    {dqkv.p, type, kernels::Write::overwrite}, scratch.p);
      },
      schedule);
}

TEST(AttentionTrace, OneBlockOfRowsReadsEveryOperandOnceAKernel) {
  Pointers p;
  const auto trace = trace_of<bf16>(AttentionDims::global(1, 128, 1, 64), p);
  test::expect_clean(*trace);
  EXPECT_EQ(trace->conflicts(), 0u) << trace->text();
  test::expect_traffic(*trace, p.qkv, {.read = 3});   // forward, dq, dk and dv
  test::expect_traffic(*trace, p.dout, {.read = 3});  // dq, once more for dout·o, dk and dv
  test::expect_traffic(*trace, p.o, {.read = 1, .written = 1});
  test::expect_traffic(*trace, p.dqkv, {.written = 1});
  const std::uint64_t product = (128 / 16) * (128 / 8) * (64 / 16);
  EXPECT_EQ(trace->mma(), (2 + 3 + 4) * product);
}

TEST(AttentionTrace, CleanAtRaggedSizesUnderEverySchedule) {
  for (const simt::Schedule& s : simt::schedules(1)) {
    Pointers p;
    for (const AttentionDims& d :
         {AttentionDims::per_head(1, 70, 1, 40), AttentionDims::global(1, 19, 1, 130)}) {
      const auto half = trace_of<bf16>(d, p, s), single = trace_of<float>(d, p, s);
      test::expect_clean(*half);
      test::expect_clean(*single);
      if (d.head_dim % 8 != 0) continue;
      EXPECT_EQ(half->conflicts(), 0u) << half->text();
      EXPECT_EQ(single->conflicts(), 0u) << single->text();
    }
  }
}

}  // namespace
}  // namespace haze
