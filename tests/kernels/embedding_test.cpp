// SPDX-License-Identifier: MIT
// embedding_test.cpp — the table look-up: the three proofs, repeated indices above all.
#include "kernels/embedding/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using kernels::EmbeddingDims;
namespace ref = kernels::reference;
using test::leaf;

struct Case {
  const char* why;
  EmbeddingDims d;
  std::vector<int> index;
};
const Case kCases[] = {
    {"classes", {6, 10, 64}, {3, 9, 0, 3, 3, 7}},
    {"one row for all", {5, 1, 7}, {0, 0, 0, 0, 0}},
    {"one column", {3, 4, 1}, {3, 0, 3}},
    {"no look-up of most rows", {1, 33, 35}, {32}},
    {"wider than a tile of sums", {3, 2, 1029}, {1, 0, 1}},
};

TEST(Embedding, GradientMatchesFiniteDifferences) {
  for (const auto& [why, d, index] : kCases) {
    const auto table = test::normal(d.rows * d.width, 1), dy = test::normal(d.n * d.width, 2);
    std::vector<double> dtable(table.size());
    ref::embedding_backward(d, dy.data(), index.data(), dtable.data());
    const auto f = [&, d = d, index = index](const std::vector<double>& in) {
      std::vector<double> y(std::size_t(d.n) * d.width);
      ref::embedding_forward(d, in.data(), index.data(), y.data());
      return y;
    };
    test::expect_gradient(f, table, dy, dtable, 1e-7, why);
  }
}

TEST(Embedding, BackendsMatchReference) {
  for (const Stream stream : test::streams())
    for (const DType type : {DType::f32, DType::bf16})
      for (const DType table_type : {DType::f32, DType::bf16})
        for (const auto& [why, d, index] : kCases) {
          const auto table = test::normal(d.rows * d.width, 1, 0, 1, table_type);
          const auto dy = test::normal(d.n * d.width, 2, 0, 1, type);
          std::vector<double> y(dy.size()), dtable(table.size());
          ref::embedding_forward(d, table.data(), index.data(), y.data());
          ref::embedding_backward(d, dy.data(), index.data(), dtable.data());
          engine::Context context(stream, type);
          engine::Tape tape(context);
          const auto a = leaf(tape, {d.rows, d.width}, table, true, table_type);
          const auto out = engine::embedding(tape, a, test::to_tensor_i32(tape, index));
          EXPECT_EQ(tape.value(out).dtype, type);
          test::expect_close(test::value_of(tape, out), y, 2 * test::rounding(type), 0, why);
          tape.backward(out, test::to_tensor(tape, {d.n, d.width}, dy, type));
          // At most five numbers below 5 are added in f32, then one rounding to the table's type.
          test::expect_close(test::grad_of(tape, a), dtable, 2 * test::rounding(table_type),
                             5 * 5 * 0x1p-24, why);
        }
}

TEST(Embedding, GradientsAddUpOverUsesAndOnlyWhereAskedFor) {
  for (const Stream stream : test::streams()) {
    const auto& [why, d, index] = kCases[0];
    const auto table = test::normal(d.rows * d.width, 1), dy = test::normal(d.n * d.width, 2);
    std::vector<double> dtable(table.size());
    ref::embedding_backward(d, dy.data(), index.data(), dtable.data());
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto a = leaf(tape, {d.rows, d.width}, table),
               frozen = leaf(tape, {d.rows, d.width}, table, false);
    const auto at = test::to_tensor_i32(tape, index);
    const auto y =
        engine::add(tape, engine::embedding(tape, a, at), engine::embedding(tape, a, at));
    tape.backward(engine::add(tape, y, engine::embedding(tape, frozen, at)),
                  test::to_tensor(tape, {d.n, d.width}, dy));
    test::expect_close(test::grad_of(tape, a), test::times(dtable, 2), 1e-6, 1e-6, why);
    EXPECT_FALSE(tape.grad(frozen));
  }
}

TEST(Embedding, AnIndexOutsideIsNanOnADevice) {
  for (const Stream stream : test::streams()) {
    if (std::holds_alternative<CpuStream>(stream)) continue;  // refuses it
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto table = leaf(tape, {3, 2}, {1, 2, 3, 4, 5, 6});
    const auto y = engine::embedding(tape, table, test::to_tensor_i32(tape, {2, 3, -1, 0}));
    const auto got = test::value_of(tape, y);
    for (const int i : {0, 1, 6, 7}) EXPECT_TRUE(std::isfinite(got[std::size_t(i)])) << i;
    for (const int i : {2, 3, 4, 5}) EXPECT_TRUE(std::isnan(got[std::size_t(i)])) << i;
    tape.backward(y, test::to_tensor(tape, {4, 2}, {1, 2, 3, 4, 5, 6, 7, 8}));
    EXPECT_EQ(test::grad_of(tape, table), (std::vector<double>{7, 8, 0, 0, 1, 2}));
  }
}

TEST(Embedding, RefusesIndicesOutsideAndWrongShapes) {
  engine::Context context{CpuStream{}};
  engine::Tape tape(context);
  const auto table = leaf(tape, {3, 2}, test::normal(6, 1)),
             row = leaf(tape, {6}, test::normal(6, 1));
  const auto look_up = [&](const std::vector<int>& index) {
    engine::embedding(tape, table, test::to_tensor_i32(tape, index));
  };
  test::expect_check([&] { look_up({0, 3}); }, "index[1] is 3, must be in [0,3)");
  test::expect_check([&] { look_up({-1}); }, "index[0] is -1");
  test::expect_check([&] { engine::embedding(tape, row, test::to_tensor_i32(tape, {0})); },
                     "[6], [1]");
}

}  // namespace
}  // namespace haze
