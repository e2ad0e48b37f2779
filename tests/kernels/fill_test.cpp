// SPDX-License-Identifier: MIT
// fill_test.cpp — one value in every element asked for, and in no other.
#include "kernels/runtime/memory.h"
#include "tests/support/test.h"

namespace haze {
namespace {

TEST(Fill, WritesWhatItIsAskedForAndNothingElse) {
  for (const Stream stream : test::streams())
    std::visit(
        [](auto s) {
          for (const std::size_t n : {0, 1, 31, 256, 257, 1000}) {
            std::vector<float> host(n + 2, 7), want(n + 2, 7);
            std::fill_n(want.begin() + 1, n, -0.3f);
            auto* const p = static_cast<float*>(kernels::allocate(s, host.size() * sizeof(float)));
            kernels::copy_in(s, p, host.data(), host.size() * sizeof(float));
            kernels::fill(s, p + 1, n, -0.3f);
            kernels::copy_out(s, host.data(), p, host.size() * sizeof(float));
            EXPECT_EQ(host, want) << n;
            kernels::release(s, p);
          }
        },
        stream);
}

}  // namespace
}  // namespace haze
