// SPDX-License-Identifier: MIT
// sizes_test.cpp — products of sizes from outside, and what is refused where they are too large.
#include "kernels/base/sizes.h"

#include "engine/parameters.h"
#include "engine/tensor.h"
#include "tests/support/test.h"

namespace haze {
namespace {

template <class F>
void expect_input_error(F f, const char* text) {
  try {
    f();
    ADD_FAILURE() << "accepted; expected: " << text;
  } catch (const InputError& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr(text));
  }
}

TEST(Sizes, ProductsDoNotWrap) {
  const std::uint64_t all = ~std::uint64_t{0}, two32 = std::uint64_t{1} << 32;
  EXPECT_EQ(product_within({3, 5, 7}, 105), 105u);
  EXPECT_EQ(product_within({3, 5, 7}, 104), std::nullopt);
  EXPECT_EQ(product_within({two32, two32}, all), std::nullopt);  // wraps to 0
  EXPECT_EQ(product_within({two32 + 1, two32 - 1}, all), all);
  EXPECT_EQ(product_within({all, all}, all), std::nullopt);  // wraps to 1
  EXPECT_EQ(product_within({two32, two32, 0}, 7), 0u);
  EXPECT_EQ(checked_int("n", {46341, 46340}), 46341 * 46340);
  expect_input_error(
      [] {
        checked_int("n", {46341, 46341});
      },
      "n: 46341 x 46341; at most 2147483647");
  expect_input_error([&] { checked_int("n", {two32, two32}); }, "n: 4294967296 x 4294967296");
}

TEST(Sizes, ATensorsSizeDoesNotWrap) {
  using engine::Shape;
  const int most = 1 << 30;
  EXPECT_EQ(Shape({most, most}).size(), std::size_t{1} << 60);
  expect_input_error([&] { Shape({most, most, 2}); }, "a tensor of [1073741824,1073741824,2]");
  expect_input_error([&] { Shape({most, most, most, most}); }, "at most 2^60");
  EXPECT_EQ(Shape({most, most, most, 0}).size(), 0u);
}

TEST(Sizes, ANetworkHasAtMostAsManyParametersAsKernelsCount) {
  engine::Parameters p;
  p.add({.name = "good", .shape = {1 << 16, 1 << 14}});
  p.add({.name = "better", .shape = {1 << 16, (1 << 14) - 1}});
  expect_input_error(
      [&] {
        p.add({.name = "wide", .shape = {1 << 16, 2}});
      },
      "2147549184 parameters with wide [65536,2]");
}

}  // namespace
}  // namespace haze
