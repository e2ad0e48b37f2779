// SPDX-License-Identifier: MIT
// pool_test.cpp — pooling against the definition. It has no gradient to prove.
#include "kernels/pool/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using kernels::PoolDims;
using kernels::Pooling;
using test::leaf;

std::vector<double> run(engine::Tape& tape, const PoolDims& d, Pooling pooling,
                        const std::vector<double>& x, DType type = DType::f32) {
  const auto in = leaf(tape, {d.n, d.h, d.w, d.c}, x, false, type);
  const auto y = pooling == Pooling::mean ? engine::average_pool(tape, in, d.side, d.stride, d.pad)
                                          : engine::max_pool(tape, in, d.side, d.stride, d.pad);
  EXPECT_EQ(tape.value(y).shape, engine::Shape({d.n, d.ho(), d.wo(), d.c}));
  return test::value_of(tape, y);
}

TEST(Pool, BackendsMatchReference) {
  const PoolDims cases[] = {{2, 7, 9, 5, 3, 2, 0}, {1, 6, 5, 72, 3, 1, 1}, {3, 8, 8, 16, 8, 1, 0},
                            {1, 1, 4, 3, 3, 1, 1}, {2, 5, 5, 1, 2, 3, 1},  {1, 9, 4, 8, 4, 4, 0}};
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const PoolDims& d : cases)
        for (const Pooling pooling : {Pooling::largest, Pooling::mean}) {
          engine::Context context(stream, type);
          engine::Tape tape(context, false);
          // All below zero: padding with zeros, where it should be left out, would win.
          const auto x = test::normal(std::size_t(d.n) * d.h * d.w * d.c, 1, -5, 1, type);
          std::vector<double> want(std::size_t(d.n) * d.ho() * d.wo() * d.c);
          kernels::reference::pool_forward(d, pooling, x.data(), want.data());
          // The largest is one of the values; the mean rounds once per summand, then twice.
          const double rtol = pooling == Pooling::largest
                                  ? 0
                                  : (d.side * d.side + 2) * 0x1p-24 + 2.02 * test::rounding(type);
          test::expect_close(run(tape, d, pooling, x, type), want, rtol, 0,
                             cat(d.side, "/", d.stride, "/", d.pad, " of ", d.c, " channels"));
        }
}

TEST(Pool, NanIsTheResultOfItsWindowsAlone) {
  for (const Stream stream : test::streams())
    for (const Pooling pooling : {Pooling::largest, Pooling::mean}) {
      engine::Context context{stream};
      engine::Tape tape(context, false);
      auto x = test::normal(5 * 5, 1);
      x[12] = NAN;  // the middle
      const auto y = run(tape, {1, 5, 5, 1, 3, 2, 1}, pooling, x);
      for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i == 4) << i;
    }
}

TEST(Pool, Refusals) {
  engine::Context context{CpuStream{}};
  engine::Tape tape(context);
  const auto x = leaf(tape, {1, 4, 4, 2}, test::normal(32, 1));
  test::expect_check([&] { engine::max_pool(tape, x, 3, 1); }, "no gradient");
  const auto frozen = leaf(tape, {1, 4, 4, 2}, test::normal(32, 1), false);
  test::expect_check([&] { engine::average_pool(tape, frozen, 3, 1, 3); }, "padding 3");
  test::expect_check([&] { engine::max_pool(tape, frozen, 5, 1); }, "window of 5");
  test::expect_check([&] { engine::max_pool(tape, frozen, 2, 0); }, "stride 0");
}

}  // namespace
}  // namespace haze
