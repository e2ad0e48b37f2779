// kernels_trace_test.cpp — what the shipped CUDA kernels promise about memory: no race under any
// schedule tried, every byte that travels is used, each array moved as often as stated.
#include "kernels/swish/swish.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using test::DeviceBuffer;

const CudaStream kStream{};

template <class T>
std::vector<T> some(std::size_t n) {
  std::vector<T> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = float(i % 13) / 8 - 0.7f;
  return v;
}

template <class T>
void swish_moves_each_array_once(std::size_t n) {
  for (const simt::Schedule& s : simt::schedules(1)) {
    const void *x, *y, *dx;
    const auto trace = test::traced(
        [&] {
          const DeviceBuffer<T> in(some<T>(n)), out(n), gradient(n);
          x = in.p, y = out.p, dx = gradient.p;
          const DType type = dtype_of<T>;
          kernels::swish_forward(kStream, n, kernels::ConstAct{x, type}, kernels::Act{out.p, type});
          kernels::swish_backward(kStream, n, kernels::ConstAct{y, type},
                                  kernels::ConstAct{x, type},
                                  kernels::Grad{gradient.p, type, kernels::Write::overwrite});
        },
        s);
    test::expect_clean(*trace);
    test::expect_traffic(*trace, x, {.read = 2});
    test::expect_traffic(*trace, y, {.read = 1, .written = 1});
    test::expect_traffic(*trace, dx, {.written = 1});
    EXPECT_EQ(trace->excess_sectors(), 0u) << trace->text();
  }
}
TEST(KernelTraces, SwishMovesEachArrayOnce) {
  swish_moves_each_array_once<float>(5000);
  swish_moves_each_array_once<bf16>(5003);
}

}  // namespace
}  // namespace haze
