// SPDX-License-Identifier: MIT
// arena_test.cpp — addresses repeat, memory is reused, and nothing is asked of the system once the
// first step has shown the size.
#include "engine/arena.h"

#include "kernels/add/add.h"
#include "kernels/runtime/memory.h"
#include "tests/support/test.h"

namespace haze::engine {
namespace {

std::vector<void*> one_step(Arena& arena) {
  const auto a = arena.allocate(1000);
  auto b = arena.allocate(40 << 20);  // larger than the smallest block
  const auto c = arena.allocate(300);
  void* const gone = b.get();
  b = nullptr;
  const auto d = arena.allocate(5 << 20);  // goes where b was, or into an earlier hole
  return {a.get(), gone, c.get(), d.get()};
}

TEST(Arena, RepeatsAddressesAndStopsAsking) {
  Arena arena{test::device()};
  one_step(arena);
  arena.consolidate();
  const auto second = one_step(arena);
  const auto asked = arena.system_allocations();
  for (int step = 0; step < 3; ++step) {
    arena.consolidate();
    EXPECT_EQ(one_step(arena), second);
  }
  EXPECT_EQ(arena.system_allocations(), asked);
  EXPECT_EQ(arena.live_bytes(), 0u);
}

TEST(Arena, MergesNeighboursInAnyOrderOfRelease) {
  Arena arena{test::device()};
  for (const auto& order : {std::array{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {0, 2, 1}}) {
    std::array<std::shared_ptr<void>, 3> part;
    for (auto& p : part) p = arena.allocate(5 << 20);
    for (const int i : order) part[std::size_t(i)] = nullptr;
    const auto whole = arena.allocate(15 << 20);  // fits the one 16 MiB block only if merged
    EXPECT_EQ(arena.system_allocations(), 1u);
  }
}

TEST(Arena, LiveAndPeakCountRoundedSizes) {
  Arena arena{test::device()};
  auto a = arena.allocate(1);
  const auto b = arena.allocate(257);
  EXPECT_EQ(arena.live_bytes(), 256u + 512u);
  a = nullptr;
  EXPECT_EQ(arena.live_bytes(), 512u);
  EXPECT_EQ(arena.peak_bytes(), 768u);
}

#if defined(__SANITIZE_ADDRESS__)

/// y = x + x over the first n floats, on the test's device, and waits for it.
void doubled(const void* x, void* y, std::size_t n) {
  const auto run = [&](auto s) {
    const kernels::ConstAct in{x, DType::f32};
    kernels::add_forward(s, n, in, in, {y, DType::f32});
    float first = 0;
    kernels::copy_out(s, &first, y, sizeof first);
  };
  std::visit(run, test::device());
}

// A kernel that reads or writes one element too many dies although the element lies in the arena:
// behind the last byte asked for, which no rounding hides, and in what was given back.
TEST(ArenaDeathTest, OnlyWhatIsOutMayBeTouched) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  constexpr std::size_t n = 77;
  Arena arena{test::device()};
  const auto x = arena.allocate(n * sizeof(float)), y = arena.allocate(n * sizeof(float)),
             large = arena.allocate(2 * n * sizeof(float));
  const auto clear = [](auto s, void* p) { kernels::zero(s, p, n * sizeof(float)); };
  std::visit([&](auto s) { clear(s, x.get()), clear(s, y.get()); }, test::device());
  doubled(x.get(), y.get(), n);
  EXPECT_DEATH(doubled(x.get(), large.get(), n + 1), "use-after-poison");
  EXPECT_DEATH(doubled(large.get(), y.get(), n + 1), "use-after-poison");
  auto gone = arena.allocate(n * sizeof(float));
  void* const p = gone.get();
  gone = nullptr;
  EXPECT_DEATH(doubled(x.get(), p, n), "use-after-poison");
  const auto again = arena.allocate(n * sizeof(float));  // first fit: the same place
  EXPECT_EQ(again.get(), p);
  doubled(x.get(), again.get(), n);
}

#endif

}  // namespace
}  // namespace haze::engine
