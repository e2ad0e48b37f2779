// SPDX-License-Identifier: MIT
// labels_test.cpp — a batch's labels: gathered, dropped by the draws that the contract names, as
// often as asked, however the batch is split.
#include "engine/process/process.h"
#include "engine/random.h"
#include "kernels/labels/reference.h"
#include "tests/support/tape.h"

namespace haze {
namespace {
using engine::LabelDropping;
using engine::Tensor;

std::vector<std::int32_t> ints(const engine::Tape& tape, const Tensor& t) {
  std::vector<std::int32_t> v(t.size());
  engine::download(tape.context(), t, std::as_writable_bytes(std::span(v)));
  return v;
}

TEST(Labels, AreGatheredAndDroppedByTheirDraws) {
  const std::vector<int> all{3, 1, 4, 1, 5, 9, 2}, index{6, 0, 0, 5, 3, 2, 4, 1, 6, 5, 0};
  const int n = int(index.size());
  for (const Stream stream : test::streams())
    for (const float p : {0.0f, 0.3f, 1.0f}) {
      engine::Context context{stream};
      engine::Tape tape(context);
      bool dropped[11];
      for (int i = 0; i < n; ++i) {
        const auto bits = random4({5, engine::streams::kLabelDrop, 7}, 100 + unsigned(i), 0).v[0];
        dropped[i] = double(bits) < double(p) * 0x1p32;
      }
      std::vector<std::int32_t> want(index.size());
      kernels::reference::gather_labels({n, 7}, all.data(), index.data(), dropped, 10, want.data());
      const LabelDropping drop{p, 10, 5, {7}, 100};
      const auto run = [&](const LabelDropping& o) {
        return ints(tape, engine::batch_labels(context, test::to_tensor_i32(tape, all),
                                               test::to_tensor_i32(tape, index), o));
      };
      EXPECT_EQ(run(drop), want) << p;
      const auto step = test::to_tensor_i32(tape, {7});
      const LabelDropping replayed{
          p, 10, 5, {99, reinterpret_cast<const std::uint32_t*>(step.i32())}, 100};
      EXPECT_EQ(run(replayed), want) << p;
    }
}

TEST(Labels, AreDroppedAsOftenAsAskedAndAlikeInPartsOfABatch) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto run = [&](int n, std::uint32_t first) {
      return ints(tape,
                  engine::batch_labels(context, test::to_tensor_i32(tape, {1}),
                                       test::to_tensor_i32(tape, std::vector<int>(std::size_t(n))),
                                       {0.1f, 0, 3, {4}, first}));
    };
    const auto all = run(5000, 20);
    const double kept = double(std::ranges::count(all, 1));
    EXPECT_NEAR(kept, 4500, 4.5 * std::sqrt(5000 * 0.1 * 0.9));  // binomial
    EXPECT_EQ(run(70, 20 + 333), std::vector<std::int32_t>(all.begin() + 333, all.begin() + 403));
  }
}

TEST(Labels, RefuseWhatDoesNotFit) {
  for (const Stream stream : test::streams()) {
    engine::Context context{stream};
    engine::Tape tape(context);
    const auto run = [&](const std::vector<int>& index, float p) {
      return engine::batch_labels(context, test::to_tensor_i32(tape, {7, 8}),
                                  test::to_tensor_i32(tape, index), {p, 2});
    };
    test::expect_check([&] { run({0}, 1.5f); }, "probability 1.5");
    test::expect_check([&] { run({0}, NAN); }, "probability nan");
    if (std::holds_alternative<CpuStream>(stream))
      test::expect_check([&] { run({0, 2}, 0); }, "index[1] is 2, must be in [0,2)");
    else
      EXPECT_EQ(ints(tape, run({1, 2, -1}, 1)), (std::vector<std::int32_t>{2, -1, -1}));
  }
}

}  // namespace
}  // namespace haze
