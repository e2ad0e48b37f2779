// SPDX-License-Identifier: MIT
// device_tensor_test.cpp — what the memory operations promise: values arrive as they are, sizes and
// types that do not fit are refused with both in the text, and who owns what for how long.
#include "engine/device_tensor.h"

#include <numeric>

#include "engine/process/process.h"
#include "tests/support/tape.h"

namespace haze::engine {
namespace {

using Bytes = std::vector<std::uint8_t>;
using Floats = std::vector<float>;
using Ints = std::vector<std::int32_t>;
using test::expect_check;

template <class T>
std::vector<T> read(const Context& context, const Tensor& t) {
  std::vector<T> v(t.size());
  download(context, t, std::as_writable_bytes(std::span(v)));
  return v;
}

TEST(DeviceTensor, WhatIsUploadedComesBackInItsType) {
  Context context(test::device());
  const Floats f{1.5f, -0.0f, INFINITY, 0x1p-149f, 5, 6};
  const Ints i{INT32_MIN, -1, 0, INT32_MAX};
  const Bytes b{0, 1, 127, 128, 255};
  for (const Lifetime lifetime : {Lifetime::step, Lifetime::run}) {
    const Tensor x = upload(context, {2, 3}, f, lifetime);
    EXPECT_EQ(x.shape, Shape({2, 3}));
    EXPECT_EQ(x.dtype, DType::f32);
    EXPECT_EQ(download(context, x), f);
    const Tensor k = upload(context, {4}, i, lifetime), u = upload(context, {5}, b, lifetime);
    EXPECT_EQ(k.dtype, DType::i32);
    EXPECT_EQ(read<std::int32_t>(context, k), i);
    EXPECT_EQ(u.dtype, DType::u8);
    EXPECT_EQ(read<std::uint8_t>(context, u), b);
  }
}

TEST(DeviceTensor, OverwritingTakesTheTypeOfTheTensorOrBytes) {
  Context context(test::device());
  const Tensor x = zeros(context, {3}, DType::f32), k = zeros(context, {3}, DType::i32),
               u = zeros(context, {3}, DType::u8);
  overwrite(context, x, Floats{1, 2, 3});
  overwrite(context, k, Ints{4, 5, 6});
  overwrite(context, u, Bytes{7, 8, 9});
  EXPECT_EQ(download(context, x), Floats({1, 2, 3}));
  EXPECT_EQ(read<std::int32_t>(context, k), Ints({4, 5, 6}));
  EXPECT_EQ(read<std::uint8_t>(context, u), Bytes({7, 8, 9}));
  const Ints bits{0x3f800000, 0, 0x40000000};
  overwrite(context, x, std::as_bytes(std::span(bits)));
  EXPECT_EQ(download(context, x), Floats({1, 0, 2}));
}

TEST(DeviceTensor, RefusesSizesAndTypesThatDoNotFit) {
  Context context(test::device());
  const Tensor x = zeros(context, {2, 2}, DType::f32), k = zeros(context, {4}, DType::i32);
  expect_check([&] { upload(context, {3}, Floats{1}); }, "[3] holds 3 values, got 1");
  expect_check([&] { resident(context, {2, 3}, Bytes{1}); }, "[2,3] holds 6 values, got 1");
  expect_check([&] { overwrite(context, x, Floats(5)); }, "[2,2] holds 4 values, got 5");
  expect_check([&] { overwrite(context, x, Ints(4)); }, "[2,2] is f32, got i32");
  expect_check([&] { overwrite(context, k, Floats(4)); }, "[4] is i32, got f32");
  const Bytes seven(7);
  expect_check([&] { overwrite(context, x, std::as_bytes(std::span(seven))); },
               "[2,2] holds 16 bytes, got 7");
  expect_check([&] { copy(context, x, k); }, "[4] i32 to [2,2] f32");
  expect_check([&] { copy(context, x, zeros(context, {3}, DType::f32)); }, "[3] f32 to [2,2] f32");
  expect_check([&] { convert(context, x, zeros(context, {3}, DType::bf16)); }, "[3] to [2,2]");
  expect_check([&] { download(context, k); }, "i32 is not a real type");
  Bytes fifteen(15);
  expect_check([&] { download(context, x, std::as_writable_bytes(std::span(fifteen))); },
               "[2,2] holds 16 bytes, asked for 15");
  EXPECT_EQ(download(context, x), Floats(4)) << "a refused call changes nothing";
}

TEST(DeviceTensor, NoElementsAreATensorToo) {
  Context context(test::device());
  for (const Lifetime lifetime : {Lifetime::step, Lifetime::run}) {
    const Tensor x = upload(context, {0, 3}, Floats{}, lifetime);
    EXPECT_TRUE(x);
    EXPECT_TRUE(download(context, x).empty());
    copy(context, zeros(context, {0}, DType::f32, lifetime), x);
  }
  EXPECT_TRUE(download(context, empty(context, {0}, DType::bf16)).empty());
  EXPECT_FALSE(scratch(context, 0));
}

TEST(DeviceTensor, Bf16IsReadAsTheFloatsThatItHolds) {
  Context context(test::device(), DType::bf16);
  // A tie to even, one above it, the largest and smallest, infinity, NaN.
  const Floats f{1 + 0x1p-8f, 1 + 0x1.02p-8f, 0x1.fep127f, 0x1p-133f, -INFINITY, NAN, -0.0f};
  const Tensor x = upload(context, {7}, f), half = to_activations(context, x);
  EXPECT_EQ(half.dtype, DType::bf16);
  const Floats got = download(context, half);
  for (std::size_t i = 0; i < f.size(); ++i)
    EXPECT_EQ(std::bit_cast<std::uint32_t>(got[i]), std::bit_cast<std::uint32_t>(float(bf16(f[i]))))
        << i;
  EXPECT_EQ(got[0], 1);
  EXPECT_EQ(got[1], 1 + 0x1p-7f);
  EXPECT_TRUE(std::isnan(got[5]));
  const Tensor wide = to_f32(context, half);
  EXPECT_EQ(wide.dtype, DType::f32);
  EXPECT_EQ(read<std::uint32_t>(context, wide), std::vector<std::uint32_t>([&] {
              std::vector<std::uint32_t> bits;
              for (const float g : got) bits.push_back(std::bit_cast<std::uint32_t>(g));
              return bits;
            }()));
  EXPECT_EQ(to_activations(context, half).storage, half.storage) << "nothing to convert";
  EXPECT_EQ(to_f32(context, x).storage, x.storage);
}

TEST(DeviceTensor, StepMemoryIsTheArenasAndRunMemoryIsNot) {
  Context context(test::device());
  Tensor own = upload(context, {3}, Floats{1, 2, 3}, Lifetime::run);
  EXPECT_EQ(context.arena.live_bytes(), 0u);
  {
    // Two blocks, so that there is something to consolidate.
    const Tensor a = empty(context, {20 << 20}, DType::u8),
                 b = empty(context, {20 << 20}, DType::u8);
    EXPECT_EQ(context.arena.live_bytes(), std::size_t{40} << 20);
    EXPECT_EQ(context.arena.system_allocations(), 2u);
    context.arena.consolidate();
    EXPECT_EQ(context.arena.system_allocations(), 2u) << "not while something is live";
  }
  context.arena.consolidate();
  EXPECT_EQ(context.arena.system_allocations(), 3u);
  EXPECT_EQ(download(context, own), Floats({1, 2, 3}));
  const Tensor step = upload(context, {3}, Floats{4, 5, 6});
  EXPECT_EQ(context.arena.live_bytes(), 256u);
  copy(context, own, step);
  EXPECT_EQ(download(context, own), Floats({4, 5, 6}));
}

TEST(DeviceTensor, ExchangingGoesThroughLittleMemory) {
  Context context(test::device());
  for (const int n : {0, 1, 7, 101})
    for (const std::size_t through : {1, 28, 400, 4096}) {
      Floats f(static_cast<std::size_t>(n)), g(f);
      std::iota(f.begin(), f.end(), 0.0f);
      std::iota(g.begin(), g.end(), 1000.0f);
      const Tensor a = upload(context, {n}, f), b = upload(context, {n}, g);
      exchange(context, a, b, through);
      EXPECT_EQ(download(context, a), g) << n << " through " << through;
      EXPECT_EQ(download(context, b), f) << n << " through " << through;
    }
  expect_check(
      [&] { exchange(context, zeros(context, {3}, DType::f32), zeros(context, {3}, DType::i32)); },
      "[3] f32 with [3] i32");
}

TEST(DeviceTensor, HostMemoryMayChangeOnceItWasUploaded) {
  Context context(test::device());
  Floats f{1, 2, 3};
  const Tensor x = upload(context, {3}, f), y = zeros(context, {3}, DType::f32);
  f.assign(3, 9);
  overwrite(context, y, f);
  f.assign(3, 8);
  EXPECT_EQ(download(context, x), Floats({1, 2, 3}));
  EXPECT_EQ(download(context, y), Floats({9, 9, 9}));
}

TEST(DeviceTensor, ResidentValuesAreReadInPlaceOnTheCpuAlone) {
  Context context(test::device());
  Floats f{1, 2, 3};
  Bytes b{4, 5};
  const Tensor x = resident(context, {3}, f), u = resident(context, {1, 2}, b);
  EXPECT_EQ(download(context, x), f);
  EXPECT_EQ(read<std::uint8_t>(context, u), b);
  const bool cpu = std::holds_alternative<CpuStream>(test::device());
  EXPECT_EQ(x.raw() == f.data(), cpu);
  EXPECT_EQ(u.raw() == b.data(), cpu);
  EXPECT_EQ(context.arena.live_bytes(), 0u);
}

TEST(DeviceTensor, PartsAndRowsShareMemoryAndStayInside) {
  Context context(test::device());
  Floats f(15);
  std::iota(f.begin(), f.end(), 0.0f);
  const Tensor x = upload(context, {5, 3}, f);
  const Tensor two = rows(x, 1, 2);
  EXPECT_EQ(two.shape, Shape({2, 3}));
  EXPECT_EQ(download(context, two), Floats({3, 4, 5, 6, 7, 8}));
  zero(context, two);
  EXPECT_EQ(download(context, x), Floats({0, 1, 2, 0, 0, 0, 0, 0, 0, 9, 10, 11, 12, 13, 14}));
  EXPECT_TRUE(download(context, rows(x, 5, 0)).empty());
  const Tensor bytes = zeros(context, {12}, DType::u8);
  overwrite(context, bytes.part(4, {2}, DType::i32), Ints{1, 258});
  EXPECT_EQ(read<std::uint8_t>(context, bytes), Bytes({0, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0}));
  expect_check([&] { rows(x, 4, 2); }, "rows [4,6) of [5,3]");
  expect_check([&] { bytes.part(8, {2}, DType::i32); }, "[2] i32 at byte 8 of 12");
  expect_check([&] { bytes.part(2, {1}, DType::f32); }, "[1] f32 at byte 2 of 12");
}

TEST(DeviceTensor, AValueKeepsItsAddress) {
  Context context(test::device());
  // A blend of everything with coefficients that the kernel reads when it runs.
  DeviceValue<BlendStep> value(context);
  const BlendStep* const at = value.on_device();
  const Tensor x = zeros(context, {1, 1, 1, 1}, DType::f32);
  const Tensor x0 = upload(context, {1, 1, 1, 1}, Floats{3});
  const Tensor mask = upload(context, {1, 1}, Bytes{1});
  for (const float signal : {2.0f, 5.0f}) {
    value.set(context, {signal, 0});
    blend(context, late_at(value.on_device()), x, mask, x0, {});
    EXPECT_EQ(download(context, x), Floats{3 * signal});
  }
  EXPECT_EQ(value.on_device(), at);
}

}  // namespace
}  // namespace haze::engine
