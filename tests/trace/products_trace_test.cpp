// SPDX-License-Identifier: MIT
// products_trace_test.cpp — what the CUDA kernels on tensor cores promise: no race under any
// schedule tried, no bank conflict, and images read from device memory no more often than stated.
#include <memory>

#include "kernels/attention/attention.h"
#include "kernels/conv2d/conv2d.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using test::DeviceBuffer;
using test::numbers;

using kernels::Joined;

const CudaStream kStream{};

template <class T>
struct Convolution {
  CudaStream stream;
  kernels::Conv2dDims d;
  std::size_t x_size, w_size, y_size;
  DeviceBuffer<T> x, w, y, dx;
  DeviceBuffer<float> bias, dw, dbias;
  std::unique_ptr<DeviceBuffer<T>> x2, dx2;  // of d.ci2 channels
  explicit Convolution(const kernels::Conv2dDims& d, CudaStream stream = kStream)
      : stream(stream),
        d(d),
        x_size(std::size_t(d.n) * d.h * d.w * (d.ci - d.ci2)),
        w_size(std::size_t(d.co) * d.kh * d.kw * d.ci),
        y_size(std::size_t(d.n) * d.ho() * d.wo() * d.co),
        x(numbers<T>(x_size)),
        w(numbers<T>(w_size)),
        y(y_size),
        dx(x_size),
        bias(numbers<float>(std::size_t(d.co))),
        dw(w_size),
        dbias(std::size_t(d.co)) {
    if (d.ci2 == 0) return;
    const std::size_t second = std::size_t(d.n) * d.h * d.w * d.ci2;
    x2 = std::make_unique<DeviceBuffer<T>>(numbers<T>(second));
    dx2 = std::make_unique<DeviceBuffer<T>>(second);
  }
  Joined<kernels::ConstAct> in() const {
    return x2 ? Joined<kernels::ConstAct>(x.act(), x2->act()) : x.act();
  }
  void forward() {  // needs no scratch, and says so
    const kernels::Conv2dSummands summands{bias.p, {}, {}};
    EXPECT_EQ(kernels::conv2d_forward_scratch_bytes(stream, d, dtype_of<T>, summands), 0u);
    kernels::conv2d_forward(stream, d, in(), w.act(), summands, y.act(), nullptr);
  }
  void gradient_of_x() {
    const Joined<kernels::Grad> to =
        dx2 ? Joined<kernels::Grad>(dx.grad(), dx2->grad()) : dx.grad();
    EXPECT_EQ(kernels::conv2d_backward_data_scratch_bytes(stream, d, to), 0u);
    kernels::conv2d_backward_data(stream, d, y.act(), w.act(), to, nullptr);
  }
  /// Returns the bytes of its scratch.
  std::size_t gradient_of_w() {
    const kernels::Conv2dWeightGrads grads{dw.grad(), dbias.grad(), {}};
    const DeviceBuffer<char> scratch(
        kernels::conv2d_backward_weights_scratch_bytes(stream, d, dtype_of<T>, grads));
    kernels::conv2d_backward_weights(stream, d, in(), y.act(), grads, scratch.p);
    cudaDeviceSynchronize();
    return scratch.bytes();
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
void expect_not_written(const simt::Trace& trace, const void* p) {
  EXPECT_EQ(trace.buffer(p).written.requested, 0u) << trace.buffer(p).name;
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

// Two tensors in place of their concatenation: each pixel of each is read where it lies, once for
// every tap that falls on it, and nothing is written but the result: there is no copy.
template <class T>
void two_tensors_are_read_in_place(const kernels::Conv2dDims& d) {
  const int taps_on_rows = d.kh * d.h - 2 * d.pad_top,
            taps_on_columns = d.kw * d.w - 2 * d.pad_left;
  const double per_pixel = double(taps_on_rows) * taps_on_columns / (d.h * d.w);
  EXPECT_LE(per_pixel, d.kh * d.kw);
  for (const simt::Schedule& s : simt::schedules(1)) {
    std::unique_ptr<Convolution<T>> c;
    const auto fresh = [&]() -> Convolution<T>& {
      c.reset();
      return *(c = std::make_unique<Convolution<T>>(d));
    };
    const auto forward = test::traced([&] { fresh().forward(); }, s);
    test::expect_clean(*forward);
    for (const void* x : {c->x.p, c->x2->p}) {
      EXPECT_EQ(times_read(*forward, x), per_pixel);
      EXPECT_EQ(forward->buffer(x).read.unique, forward->buffer(x).bytes);
    }
    test::expect_traffic(*forward, c->y.p, {.written = 1});
    for (const void* p : {c->x.p, c->x2->p, c->w.p}) expect_not_written(*forward, p);
    expect_not_written(*forward, c->bias.p);
    EXPECT_EQ(forward->launches(), 1u);  // and forward() has no scratch
    EXPECT_EQ(conflicts_of_the_main_loop(*forward), 0u) << forward->text();

    const auto data = test::traced([&] { fresh().forward(), c->gradient_of_x(); }, s);
    test::expect_clean(*data);
    for (const void* dx : {c->dx.p, c->dx2->p}) test::expect_traffic(*data, dx, {.written = 1});
    EXPECT_EQ(data->launches(), 2u);
    EXPECT_EQ(conflicts_of_the_main_loop(*data), 0u) << data->text();

    // The parts' sums are all that the gradient of w has beside its result: as much for two tensors
    // as for one.
    std::size_t scratch = 0;
    const auto weights = test::traced(
        [&] {
          fresh().forward();
          scratch = c->gradient_of_w();
        },
        s);
    test::expect_clean(*weights);
    for (const void* x : {c->x.p, c->x2->p}) {
      EXPECT_EQ(times_read(*weights, x), 2 * per_pixel);  // forward, and here
      expect_not_written(*weights, x);
    }
    EXPECT_EQ(conflicts_of_the_main_loop(*weights), 0u) << weights->text();
    kernels::Conv2dDims joined = d;
    joined.ci2 = 0;
    EXPECT_EQ(scratch, kernels::conv2d_backward_weights_scratch_bytes(
                           kStream, joined, dtype_of<T>, {c->dw.grad(), c->dbias.grad(), {}}));
  }
}
TEST(ProductTraces, AConvolutionOfTwoTensorsReadsThemInPlace) {
  two_tensors_are_read_in_place<bf16>({1, 8, 8, 40, 64, 3, 3, 1, 1, 1, 1, 1, 16});
  two_tensors_are_read_in_place<float>({1, 6, 9, 20, 24, 3, 3, 1, 1, 1, 1, 1, 8});
}

template <class T>
void convolution_has_no_race(const kernels::Conv2dDims& d, CudaStream stream = kStream) {
  for (const simt::Schedule& s : simt::schedules(1)) {
    const auto trace = test::traced(
        [&] {
          Convolution<T> c(d, stream);
          c.forward();
          c.gradient_of_x();
          c.gradient_of_w();
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
  convolution_has_no_race<float>({1, 9, 7, 20, 24, 3, 3, 1, 1, 1, 1, 1}, {.tf32 = true});
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
