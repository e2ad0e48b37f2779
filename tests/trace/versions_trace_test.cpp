// SPDX-License-Identifier: MIT
// versions_trace_test.cpp — the ladders of earlier kernels (kernels/*/versions.h): each rung moves
// the bytes and has the bank conflicts that its header and its page state, and no race.
#include "kernels/adam/versions.h"
#include "kernels/attention/versions.h"
#include "kernels/conv2d/versions.h"
#include "kernels/group_norm/versions.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using test::DeviceBuffer;
using test::numbers;

const CudaStream kStream{};

/// Wavefronts of shared memory over those without conflicts, for what brings numbers in and reads
/// them for the products.
double wavefronts_over_ideal(const simt::Trace& trace, const std::string& what) {
  std::uint64_t taken = 0, ideal = 0;
  for (const simt::Line& l : trace.lines())
    if (l.space == simt::Space::shared && l.what == what) taken += l.transactions, ideal += l.ideal;
  return double(taken) / double(ideal);
}
double times_read(const simt::Trace& trace, const void* p) {
  const simt::BufferTraffic b = trace.buffer(p);
  return double(b.read.requested) / double(b.bytes);
}

// ---- conv2d
using Conv2dVersion = decltype(&kernels::conv2d_versions::v1_naive);

struct ConvolutionTrace {
  std::unique_ptr<simt::Trace> trace;
  const void *x, *w, *y;
};
ConvolutionTrace trace_of(Conv2dVersion version, const kernels::Conv2dDims& d, simt::Schedule s) {
  ConvolutionTrace r;
  r.trace = test::traced(
      [&] {
        const DeviceBuffer<bf16> x(numbers<bf16>(std::size_t(d.n) * d.h * d.w * d.ci));
        const DeviceBuffer<bf16> w(numbers<bf16>(std::size_t(d.co) * d.kh * d.kw * d.ci));
        const DeviceBuffer<bf16> y(std::size_t(d.n) * d.ho() * d.wo() * d.co);
        r.x = x.p, r.w = w.p, r.y = y.p;
        version(kStream, d, x.act(), w.act(), y.act());
        cudaDeviceSynchronize();
      },
      s);
  test::expect_clean(*r.trace);
  test::expect_traffic(*r.trace, r.y, {.written = 1});
  return r;
}

constexpr kernels::Conv2dDims kConvolution{1, 8, 8, 32, 64, 3, 3, 1, 1, 1, 1, 1};

// One block: all pixels by all outputs. Of the 9 taps on 8x8 pixels, 22² = 484 fall on the image.
TEST(VersionTraces, ConvolutionsOfATileReadAPixelOncePerTapAndAWeightOnce) {
  namespace versions = kernels::conv2d_versions;
  for (const auto version :
       {versions::v2_tiled, versions::v3_tensor_cores, versions::v4_async, versions::v5_swizzle})
    for (const simt::Schedule& s : simt::schedules(1)) {
      const auto r = trace_of(version, kConvolution, s);
      EXPECT_EQ(times_read(*r.trace, r.x), 484. / 64);
      EXPECT_EQ(times_read(*r.trace, r.w), 1);
    }
  const auto naive = trace_of(versions::v1_naive, kConvolution, {});
  EXPECT_EQ(times_read(*naive.trace, naive.x), 64 * 484. / 64);  // once more for every output
  EXPECT_EQ(times_read(*naive.trace, naive.w), 484. / 9);        // and for every pixel
}

TEST(VersionTraces, ConvolutionsOnTensorCoresLoseTheirBankConflictsToTheSwizzle) {
  namespace versions = kernels::conv2d_versions;
  for (const simt::Schedule& s : simt::schedules(1)) {
    const auto plain = trace_of(versions::v3_tensor_cores, kConvolution, s);
    EXPECT_EQ(wavefronts_over_ideal(*plain.trace, "load"), 4);
    EXPECT_EQ(wavefronts_over_ideal(*plain.trace, "store"), 1);
    const auto async = trace_of(versions::v4_async, kConvolution, s);
    EXPECT_EQ(wavefronts_over_ideal(*async.trace, "load"), 4);
    EXPECT_EQ(wavefronts_over_ideal(*async.trace, "cp.async"), 1);
    const auto swizzled = trace_of(versions::v5_swizzle, kConvolution, s);
    EXPECT_EQ(swizzled.trace->conflicts(), 0u) << swizzled.trace->text();
    for (const auto* r : {&plain, &async, &swizzled})
      EXPECT_EQ(r->trace->mma(), 64u / 16 * (64 / 8) * (9 * 32 / 16));
  }
}

TEST(VersionTraces, ConvolutionsOfAwkwardSizesAreClean) {
  namespace versions = kernels::conv2d_versions;
  for (const auto version :
       {versions::v2_tiled, versions::v3_tensor_cores, versions::v4_async, versions::v5_swizzle})
    for (const simt::Schedule& s : simt::schedules(1))
      for (const kernels::Conv2dDims& d :
           {kernels::Conv2dDims{1, 9, 7, 24, 40, 3, 3, 2, 1, 1, 1, 1},
            {1, 5, 5, 3, 5, 3, 3, 1, 1, 1, 1, 1}})
        trace_of(version, d, s);
}

// ---- attention
using AttentionVersion = decltype(&kernels::attention_forward_v1);

struct AttentionTrace {
  std::unique_ptr<simt::Trace> trace;
  const void *qkv, *o, *lse;
};
AttentionTrace trace_of(AttentionVersion version, const kernels::AttentionDims& d,
                        simt::Schedule s) {
  AttentionTrace r;
  const std::size_t rows = std::size_t(d.n) * d.tokens, size = rows * d.channels();
  r.trace = test::traced(
      [&] {
        const DeviceBuffer<bf16> qkv(numbers<bf16>(3 * size)), o(size);
        const DeviceBuffer<float> lse(rows * d.heads);
        r.qkv = qkv.p, r.o = o.p, r.lse = lse.p;
        version(kStream, d, qkv.act(), o.act(), lse.p);
        cudaDeviceSynchronize();
      },
      s);
  test::expect_clean(*r.trace);
  test::expect_traffic(*r.trace, r.o, {.written = 1});
  test::expect_traffic(*r.trace, r.lse, {.written = 1});
  return r;
}

// Of q, k and v each is a third: q is read once, k and v once per block of queries.
TEST(VersionTraces, AttentionReadsItsKeysOncePerBlockOfQueries) {
  const auto d = kernels::AttentionDims::global(1, 64, 1, 64);
  for (const simt::Schedule& s : simt::schedules(1)) {
    const auto online = trace_of(kernels::attention_forward_v2, d, s);
    EXPECT_EQ(times_read(*online.trace, online.qkv), (1 + 2 * 2) / 3.);  // of 32 queries
    EXPECT_EQ(online.trace->conflicts(), 0u) << online.trace->text();
    const auto cores = trace_of(kernels::attention_forward_v3, d, s);
    EXPECT_EQ(times_read(*cores.trace, cores.qkv), 1);  // of 64
    EXPECT_EQ(cores.trace->mma(), 2u * (64 / 16) * (64 / 8) * (64 / 16));
    // For 16 numbers of a head and 32 keys a warp loads 4 registers of q and 8 of k, in 8 wavefronts
    // each. For 16 keys and 8 columns of v it loads 4 single elements, in 4 wavefronts each.
    const double scores = 4 * 2 * (64 / 16) * (4 + 8), values = 4 * 2 * 2 * (64 / 8) * 4;
    EXPECT_EQ(wavefronts_over_ideal(*cores.trace, "load"),
              (8 * scores + 4 * values) / (scores + values));
  }
  // A query of its own: for the scores its q once per key, and k; for the sums v.
  const auto naive = trace_of(kernels::attention_forward_v1, d, {});
  EXPECT_EQ(times_read(*naive.trace, naive.qkv), 64 * (1 + 1 + 1) / 3.);
}

TEST(VersionTraces, AttentionOfAwkwardSizesIsClean) {
  for (const auto version : {kernels::attention_forward_v2, kernels::attention_forward_v3})
    for (const simt::Schedule& s : simt::schedules(1)) {
      trace_of(version, kernels::AttentionDims::per_head(1, 70, 2, 40), s);
      trace_of(version, kernels::AttentionDims::global(2, 19, 1, 130), s);
    }
}

// ---- group_norm
using GroupNormVersion = decltype(&kernels::group_norm_forward_v1);

struct GroupNormTrace {
  std::unique_ptr<simt::Trace> trace;
  simt::BufferTraffic x, y;
};
template <class T>
GroupNormTrace trace_of(GroupNormVersion version, const kernels::GroupNormDims& d,
                        simt::Schedule s) {
  GroupNormTrace r;
  const void *x_at, *y_at;
  r.trace = test::traced(
      [&] {
        const std::size_t n = std::size_t(d.n) * d.hw * d.c, groups = std::size_t(d.n) * d.groups;
        const DeviceBuffer<T> x(numbers<T>(n)), y(n);
        const DeviceBuffer<float> gamma(numbers<float>(std::size_t(d.c)));
        const DeviceBuffer<float> beta(numbers<float>(std::size_t(d.c))), mean(groups),
            rstd(groups);
        x_at = x.p, y_at = y.p;
        version(kStream, d, x.act(), gamma.p, beta.p, y.act(), mean.p, rstd.p);
        cudaDeviceSynchronize();
      },
      s);
  test::expect_clean(*r.trace);
  test::expect_traffic(*r.trace, y_at, {.written = 1});
  r.x = r.trace->buffer(x_at), r.y = r.trace->buffer(y_at);
  return r;
}

// Two channels of 64 a group. Each thread (v1, v2) or group (v3) also reads the first value.
TEST(VersionTraces, GroupNormReadsItsImageThreeTimesThenTwiceThenOnce) {
  const kernels::GroupNormDims d{1, 64, 64, 32};
  const std::uint64_t size = 64 * 64 * 2, first_values = 32 * 256 * 2;
  for (const simt::Schedule& s : simt::schedules(1)) {
    const auto naive = trace_of<bf16>(kernels::group_norm_forward_v1, d, s);
    EXPECT_EQ(naive.x.read.requested, 3 * size + first_values);
    EXPECT_EQ(naive.x.read.sectors, 3 * 64 * 32 + 256u);
    const auto welford = trace_of<bf16>(kernels::group_norm_forward_v2, d, s);
    EXPECT_EQ(welford.x.read.requested, 2 * size + first_values);
    EXPECT_EQ(welford.x.read.sectors, 2 * 64 * 32 + 256u);  // each pixel of a group, first values
    const auto slab = trace_of<bf16>(kernels::group_norm_forward_v3, d, s);
    EXPECT_EQ(slab.x.read.requested, size);
    EXPECT_EQ(slab.x.read.sectors, size / 32);
    EXPECT_EQ(slab.y.written.sectors, size / 32);
    for (const simt::Line& l : slab.trace->lines()) {  // the slab; sums conflict, twice a block
      if (l.space == simt::Space::shared && l.bytes == 16) {
        EXPECT_EQ(l.excess(), 0u) << l.where;
      }
    }
  }
  // A slab of 1000 pixels stays in device memory: three times, and the first values of 32 groups
  // for 64 channels.
  const auto large = trace_of<bf16>(kernels::group_norm_forward_v3, {1, 1000, 64, 32}, {});
  EXPECT_EQ(large.x.read.requested, 3 * large.x.bytes + 64 * 2);
}

TEST(VersionTraces, GroupNormOfAwkwardSizesIsClean) {
  for (const auto version : {kernels::group_norm_forward_v2, kernels::group_norm_forward_v3})
    for (const simt::Schedule& s : simt::schedules(1))
      for (const kernels::GroupNormDims& d :
           {kernels::GroupNormDims{2, 9, 96, 32}, {1, 21, 34, 17, 1e-5f, true}, {1, 5, 1032, 1}}) {
        trace_of<float>(version, d, s);
        trace_of<bf16>(version, d, s);
      }
}

// ---- adam
TEST(VersionTraces, UnfusedAdamMoves70BytesAWeightWhere42Must) {
  const std::size_t n = 1000;
  const kernels::AdamStep c{0.9f, 0.1f, 0.999f, 0.001f, 1e-3f, 1, 1e-8f, 0.01f, 1, 0.1f};
  for (const simt::Schedule& s : simt::schedules(1))
    for (const bool fused : {false, true}) {
      const void *w_at, *g_at, *m_at, *v_at, *ema_at, *half_at;
      const auto trace = test::traced(
          [&] {
            const DeviceBuffer<float> w(numbers<float>(n)), g(numbers<float>(n));
            const std::vector<float> zeros(n);
            const DeviceBuffer<float> m(zeros), v(zeros);
            const DeviceBuffer<float> ema(numbers<float>(n)), result(2);
            const DeviceBuffer<bf16> half(n);
            const DeviceBuffer<char> scratch(kernels::adam_step_v1_scratch_bytes(n));
            w_at = w.p, g_at = g.p, m_at = m.p, v_at = v.p, ema_at = ema.p, half_at = half.p;
            const kernels::AdamBuffers b{w.p, g.p, m.p, v.p, ema.p, half.p};
            if (fused)
              kernels::adam_step(kStream, n, c, b, scratch.p, result.p);
            else
              kernels::adam_step_v1(kStream, n, c, b, scratch.p, result.p);
            cudaDeviceSynchronize();
          },
          s);
      test::expect_clean(*trace);
      const std::uint64_t again = fused ? 0 : 1;
      test::expect_traffic(*trace, g_at, {.read = 2});
      test::expect_traffic(*trace, m_at, {.read = 1 + again, .written = 1});
      test::expect_traffic(*trace, v_at, {.read = 1 + again, .written = 1});
      test::expect_traffic(*trace, w_at, {.read = 1 + 2 * again, .written = 1});
      test::expect_traffic(*trace, ema_at, {.read = 1, .written = 1});
      test::expect_traffic(*trace, half_at, {.written = 1});
      std::uint64_t all = 0;
      for (const simt::BufferTraffic& b : trace->buffers())
        if (b.bytes > 2 * sizeof(float))
          all += b.read.requested + b.written.requested;  // not the result
      EXPECT_GE(all, (fused ? 42 : 70) * n);
      EXPECT_LE(all, (fused ? 42 : 70) * n + 256 * sizeof(double) * 2);  // and the norm's chunks
      EXPECT_EQ(trace->launches(), fused ? 2u : 8u);
    }
}

TEST(VersionTraces, TheNormOfOneBlockReadsItsGradientsOnce) {
  for (const simt::Schedule& s : simt::schedules(1)) {
    const void* g_at;
    const auto trace = test::traced(
        [&] {
          const DeviceBuffer<float> g(numbers<float>(5000)), norm(1);
          g_at = g.p;
          kernels::global_norm_v1(kStream, 5000, g.p, norm.p);
          cudaDeviceSynchronize();
        },
        s);
    test::expect_clean(*trace);
    test::expect_traffic(*trace, g_at, {.read = 1});
    EXPECT_EQ(trace->buffer(g_at).read.sectors, trace->buffer(g_at).read.ideal_sectors);
    EXPECT_EQ(trace->conflicts(), 0u);
    EXPECT_EQ(trace->launches(), 1u);
  }
}

}  // namespace
}  // namespace haze
