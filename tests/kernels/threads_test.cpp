// SPDX-License-Identifier: MIT
// threads_test.cpp — the products of the CPU backend and their gradients have the same bits for any
// number of threads: sums are cut by the shape, never by who adds. The other kernels' own tests say
// so of them.
#include <omp.h>

#include "engine/device.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::Conv2dOptions;
using engine::Shape;
using engine::Tape;
using engine::Var;
using test::leaf;

/// op(tape, x, w, bias) -> y: y and the gradients of x, w and bias, as `threads` compute them.
struct Results {
  std::vector<double> y, dx, dw, dbias;
  bool operator==(const Results&) const = default;
};
template <class Op>
Results computed(int threads, DType type, const Shape& xs, const Shape& ws, int outputs, Op op) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  engine::Context context(CpuStream{}, type);
  Tape tape(context);
  const Var x = leaf(tape, xs, test::normal(xs.size(), 1, 0, 1, type), true, type);
  const Var w = leaf(tape, ws, test::normal(ws.size(), 2, 0, 1, type), true, type);
  const Var bias = leaf(tape, {outputs}, test::normal(std::size_t(outputs), 3));
  const Var y = op(tape, x, w, bias);
  const Shape ys = tape.value(y).shape;
  tape.backward(y, test::to_tensor(tape, ys, test::normal(ys.size(), 4, 0, 1, type), type));
  Results r{test::value_of(tape, y), test::grad_of(tape, x), test::grad_of(tape, w),
            test::grad_of(tape, bias)};
  omp_set_num_threads(before);
  return r;
}

template <class Op>
void expect_the_same(const char* why, const Shape& xs, const Shape& ws, int outputs, Op op) {
  for (const DType type : {DType::f32, DType::bf16}) {
    if (engine::depends_on_threads(CpuStream{}, type)) continue;  // oneDNN has instructions for it
    const Results one = computed(1, type, xs, ws, outputs, op);
    for (const int threads : {2, 3, 7}) {
      const Results r = computed(threads, type, xs, ws, outputs, op);
      const auto text = cat(why, ", ", name_of(type), ", ", threads, " threads: ");
      EXPECT_TRUE(r.y == one.y) << text << "y";
      EXPECT_TRUE(r.dx == one.dx) << text << "dx";
      EXPECT_TRUE(r.dw == one.dw) << text << "dw";
      EXPECT_TRUE(r.dbias == one.dbias) << text << "dbias";
    }
  }
}

TEST(AnyThreads, OnlyBf16MayDependOnThem) {
  EXPECT_FALSE(engine::depends_on_threads(CpuStream{}, DType::f32));
  for (const Stream stream : test::streams()) {
    if (cuda_of(stream)) {
      EXPECT_FALSE(engine::depends_on_threads(stream, DType::bf16));
    }
  }
}

TEST(AnyThreads, ConvolutionsHaveTheSameBits) {
  struct Case {
    const char* why;
    int n, h, w, ci, co, kernel, stride;
  };
  for (const auto& [why, n, h, w, ci, co, kernel, stride] :
       {Case{"U-Net stage", 8, 16, 16, 32, 32, 3, 1},
        {"first layer", 9, 14, 13, 1, 33, 3, 1},
        {"three colours out", 5, 15, 8, 24, 3, 3, 1},
        {"one channel out", 8, 9, 9, 32, 1, 3, 1},
        {"pointwise", 7, 11, 5, 40, 24, 1, 1},
        {"halve", 6, 13, 16, 16, 24, 3, 2},
        {"many channels, small image", 3, 4, 4, 128, 72, 3, 1},
        {"5x5", 4, 7, 9, 5, 6, 5, 1}}) {
    Conv2dOptions options = Conv2dOptions::same(kernel);
    options.stride = stride;
    expect_the_same(why, {n, h, w, ci}, {co, kernel, kernel, ci}, co,
                    [&](Tape& tape, Var x, Var weights, Var bias) {
                      return conv2d(tape, x, weights, bias, options);
                    });
  }
}

TEST(AnyThreads, TransposedConvolutionsHaveTheSameBits) {
  for (const auto& [n, ci, co] : {std::tuple(5, 32, 32), {7, 33, 5}, {4, 16, 48}})
    expect_the_same(
        "transposed", {n, 7, 9, ci}, {co, 4, 4, ci}, co,
        [](Tape& tape, Var x, Var w, Var bias) { return conv_transpose2d(tape, x, w, bias); });
}

TEST(AnyThreads, LinearLayersHaveTheSameBits) {
  for (const auto& [rows, in, out] : {std::tuple(1031, 64, 192), {5, 512, 300}, {1, 33, 1000}})
    expect_the_same("linear", {rows, in}, {out, in}, out,
                    [](Tape& tape, Var x, Var w, Var bias) { return linear(tape, x, w, bias); });
}

}  // namespace
}  // namespace haze
