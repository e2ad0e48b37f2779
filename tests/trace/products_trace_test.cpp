// products_trace_test.cpp — what the CUDA kernels on tensor cores promise: no race under any
// schedule tried, no bank conflict, and images read from device memory no more often than stated.
#include "kernels/attention/attention.h"
#include "kernels/conv2d/conv2d.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using test::DeviceBuffer;
using test::numbers;

const CudaStream kStream{};

template <class T>
struct Convolution {
  kernels::Conv2dDims d;
  std::size_t x_size, w_size, y_size;
  DeviceBuffer<T> x, w, y, dx;
  DeviceBuffer<float> bias, dw, dbias;
  explicit Convolution(const kernels::Conv2dDims& d)
      : d(d),
        x_size(std::size_t(d.n) * d.h * d.w * d.ci),
        w_size(std::size_t(d.co) * d.kh * d.kw * d.ci),
        y_size(std::size_t(d.n) * d.ho() * d.wo() * d.co),
        x(numbers<T>(x_size)),
        w(numbers<T>(w_size)),
        y(y_size),
        dx(x_size),
        bias(numbers<float>(std::size_t(d.co))),
        dw(w_size),
        dbias(std::size_t(d.co)) {}
  void forward() {
    const kernels::Conv2dSummands summands{bias.p, {}, {}};
    const DeviceBuffer<char> scratch(
        kernels::conv2d_forward_scratch_bytes(kStream, d, dtype_of<T>, summands));
    kernels::conv2d_forward(kStream, d, x.act(), w.act(), summands, y.act(), scratch.p);
  }
  void backward() {
    const DeviceBuffer<char> scratch(
        kernels::conv2d_backward_data_scratch_bytes(kStream, d, dx.grad()));
    kernels::conv2d_backward_data(kStream, d, y.act(), w.act(), dx.grad(), scratch.p);
    const kernels::Conv2dWeightGrads grads{dw.grad(), dbias.grad(), {}};
    const DeviceBuffer<char> more(
        kernels::conv2d_backward_weights_scratch_bytes(kStream, d, dtype_of<T>, grads));
    kernels::conv2d_backward_weights(kStream, d, x.act(), y.act(), grads, more.p);
    cudaDeviceSynchronize();
  }
};
/// Of what feeds the products: the copies into shared memory and the loads of fragments.
std::uint64_t conflicts_of_the_main_loop(const simt::Trace& trace) {
  std::uint64_t sum = 0;
  for (const simt::Line& l : trace.lines())
    if (l.space == simt::Space::shared && (l.what == "cp.async" || l.what == "ldmatrix"))
      sum += l.excess();
  return sum;
}
double times_read(const simt::Trace& trace, const void* p) {
  const simt::BufferTraffic b = trace.buffer(p);
  return double(b.read.requested) / double(b.bytes);
}

// A block computes 64 pixels by 64 channels: it reads each pixel of the image once per tap, and all
// of the weights of its channels. L1 and L2 make of it what reaches the memory.
TEST(ProductTraces, ConvolutionReadsItsImageOncePerTapAndItsWeightsOncePerBlock) {
  for (const simt::Schedule& s : simt::schedules(1)) {
    const void *x, *w, *y;
    std::size_t blocks = 2 * 16 * 16 / 64;
    const auto trace = test::traced(
        [&] {
          Convolution<bf16> c({2, 16, 16, 64, 64, 3, 3, 1, 1, 1, 1, 1});
          x = c.x.p, w = c.w.p, y = c.y.p;
          c.forward();
          cudaDeviceSynchronize();
        },
        s);
    test::expect_clean(*trace);
    EXPECT_EQ(trace->mma(), 2u * 16 * 16 / 16 * (64 / 8) * (9 * 64 / 16));
    EXPECT_LE(times_read(*trace, x), 9);
    EXPECT_EQ(times_read(*trace, w), double(blocks));
    test::expect_traffic(*trace, y, {.written = 1});
    EXPECT_EQ(trace->buffer(x).read.sectors, trace->buffer(x).read.ideal_sectors);
    EXPECT_EQ(conflicts_of_the_main_loop(*trace), 0u) << trace->text();
  }
}

template <class T>
void convolution_has_no_race(const kernels::Conv2dDims& d) {
  for (const simt::Schedule& s : simt::schedules(1)) {
    const auto trace = test::traced(
        [&] {
          Convolution<T> c(d);
          c.forward();
          c.backward();
        },
        s);
    test::expect_clean(*trace);
    EXPECT_EQ(conflicts_of_the_main_loop(*trace), 0u) << trace->text();
  }
}
TEST(ProductTraces, ConvolutionsHaveNoRaceAndNoBankConflictInTheirMainLoops) {
  convolution_has_no_race<bf16>({2, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1, 1});
  convolution_has_no_race<bf16>({1, 9, 7, 24, 40, 3, 3, 2, 1, 1, 1, 1});
  convolution_has_no_race<float>({1, 9, 7, 20, 24, 3, 3, 1, 1, 1, 1, 1});
  convolution_has_no_race<bf16>({1, 5, 5, 3, 5, 3, 3, 1, 1, 1, 1, 1});
}

template <class T>
std::unique_ptr<simt::Trace> attention(const kernels::AttentionDims& d, const simt::Schedule& s,
                                       const void*& qkv_at, const void*& o_at) {
  return test::traced(
      [&] {
        const std::size_t n = std::size_t(d.n) * d.tokens * d.channels();
        const DeviceBuffer<T> qkv(numbers<T>(3 * n)), o(n), dout(numbers<T>(n)), dqkv(3 * n);
        const DeviceBuffer<float> lse(std::size_t(d.n) * d.heads * d.tokens);
        const DeviceBuffer<char> scratch(
            std::max(kernels::attention_forward_scratch_bytes(kStream, d, dtype_of<T>),
                     kernels::attention_backward_scratch_bytes(kStream, d, dtype_of<T>)));
        qkv_at = qkv.p, o_at = o.p;
        kernels::attention_forward(kStream, d, qkv.act(), o.act(), lse.p, scratch.p);
        kernels::attention_backward(kStream, d, qkv.act(), o.act(), lse.p, dout.act(), dqkv.grad(),
                                    scratch.p);
        cudaDeviceSynchronize();
      },
      s);
}
TEST(ProductTraces, AttentionHasNoRaceAndNoBankConflict) {
  const void *qkv, *o;
  for (const simt::Schedule& s : simt::schedules(1)) {
    const auto trace = attention<bf16>(kernels::AttentionDims::global(1, 128, 2, 64), s, qkv, o);
    test::expect_clean(*trace);
    EXPECT_EQ(trace->conflicts(), 0u) << trace->text();
    // Per head two blocks of 64 queries, each reads its q and all of k and v; both gradients again.
    EXPECT_LE(times_read(*trace, qkv), 2 * 3);
    EXPECT_EQ(trace->buffer(o).written.requested, trace->buffer(o).bytes);
    test::expect_clean(
        *attention<float>(kernels::AttentionDims::per_head(1, 37, 1, 20), s, qkv, o));
  }
}

}  // namespace
}  // namespace haze
