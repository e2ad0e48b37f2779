// SPDX-License-Identifier: MIT
// images_trace_test.cpp — the kernels that draw or only move: each array travels once, in whole
// sectors, without races or reads of what nobody wrote (docs/kernels/diffusion.md).
#include "kernels/concat/concat.h"
#include "kernels/dropout/dropout.h"
#include "kernels/normal_fill/normal_fill.h"
#include "kernels/q_sample/q_sample.h"
#include "kernels/upsample/upsample.h"
#include "tests/support/trace.h"

namespace haze {
namespace {

using test::DeviceBuffer;
using test::expect_traffic;

const CudaStream kStream{};
constexpr RandomKey kKey{1, 2, 3};
constexpr int kN = 3, kH = 7, kW = 14, kC = 16;  // several blocks; a pixel of bf16 is a sector
constexpr kernels::ItemDims kItems{kN, kH* kW* kC};

/// Runs f, which launches kernels and hands its buffers to `expect(buffer, times)`.
template <class F>
void check(std::uint64_t excess_sectors, F f) {
  for (const simt::Schedule& s : simt::schedules(1)) {
    std::vector<std::pair<const void*, test::Times>> expected;
    const auto trace = test::traced(
        [&] { f([&](const auto& b, test::Times t) { expected.emplace_back(b.p, t); }); }, s);
    test::expect_clean(*trace);
    for (const auto& [p, times] : expected) expect_traffic(*trace, p, times);
    EXPECT_EQ(trace->excess_sectors(), excess_sectors) << trace->text();
  }
}

template <class T>
void noise_is_never_in_memory() {
  check(0, [](auto expect) {
    const DeviceBuffer<std::uint8_t> images(std::vector<std::uint8_t>(kItems.size(), 9));
    const DeviceBuffer<std::int32_t> index(std::vector<std::int32_t>{2, 0, 1}), t(kN);
    const DeviceBuffer<float> table(test::numbers<float>(20)), prior(kItems.size());
    const DeviceBuffer<T> x_t(kItems.size());
    kernels::q_sample_images(kStream, {kN, kH, kW, kC, kN}, images.p, index.p,
                             {table.p, table.p + 10, 10}, {kKey, kKey, kKey}, t.p, x_t.act());
    const DeviceBuffer<float> data(test::numbers<float>(kItems.size())), x0(kItems.size());
    const kernels::ImageDraws draws{kKey, kKey, kKey};
    kernels::q_sample_images(kStream, {kN, kH, kW, kC, kN}, data.p, index.p,
                             {table.p, table.p + 10, 10}, draws, t.p, x_t.act(), x0.p);
    expect(data, {.read = 1});
    expect(x0, {.written = 1});
    kernels::normal_fill(kStream, kItems, kKey, 0, prior.p);
    expect(images, {.read = 1});
    expect(t, {.written = 2});
    expect(x_t, {.written = 2});
    expect(prior, {.written = 1});
  });
}
TEST(ImageTraces, NoiseIsNeverInMemory) {
  noise_is_never_in_memory<float>();
  noise_is_never_in_memory<bf16>();
}

template <class T>
void dropout_moves_each_array_once() {
  // 8 elements of f32 are two accesses of 16 bytes to a sector: each is counted a whole sector.
  const std::uint64_t sectors = kItems.size() * sizeof(T) / 32;
  check(sizeof(T) == 4 ? 2 * sectors : 0, [](auto expect) {
    const DeviceBuffer<T> x(test::numbers<T>(kItems.size())), y(kItems.size());
    kernels::dropout_forward(kStream, kItems, {.5f, kKey, 0}, x.act(), y.act());
    expect(x, {.read = 1});
    expect(y, {.written = 1});
  });
}
TEST(ImageTraces, DropoutMovesEachArrayOnce) {
  dropout_moves_each_array_once<float>();
  dropout_moves_each_array_once<bf16>();
}

template <class T>
void copies_move_once() {
  check(0, [](auto expect) {
    const std::size_t size = kItems.size();
    const kernels::ConcatDims d{std::size_t(kN * kH * kW), kC, kC};
    const kernels::UpsampleDims u{kN, kH, kW, kC};
    const DeviceBuffer<T> x(test::numbers<T>(size)), joint(2 * size), da(size), db(size);
    const DeviceBuffer<T> wide(4 * size), dx(size);
    kernels::concat_channels_forward(kStream, d, x.act(), x.act(), joint.act());
    kernels::concat_channels_backward(kStream, d, joint.act(), da.grad(), db.grad());
    kernels::upsample2x_forward(kStream, u, x.act(), wide.act());
    kernels::upsample2x_backward(kStream, u, wide.act(), dx.grad());
    expect(x, {.read = 3});
    expect(joint, {.read = 1, .written = 1});
    expect(da, {.written = 1});
    expect(db, {.written = 1});
    expect(wide, {.read = 1, .written = 1});
    expect(dx, {.written = 1});
  });
}
TEST(ImageTraces, ConcatenationAndUpsamplingMoveOnce) {
  copies_move_once<float>();
  copies_move_once<bf16>();
}

}  // namespace
}  // namespace haze
