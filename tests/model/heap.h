// SPDX-License-Identifier: MIT
// heap.h — counts what this test program asks of the C++ heap in large pieces.
#pragma once
#include <cstddef>

namespace haze::test {

constexpr std::size_t kLargeAllocation = 256 << 10;
/// How many allocations of at least kLargeAllocation bytes
/// there have been; always 0 under the address sanitizer.
std::size_t large_allocations();

}  // namespace haze::test
