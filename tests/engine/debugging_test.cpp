// SPDX-License-Identifier: MIT
// debugging_test.cpp — which words of HAZE_DEBUG turn off what.
#include "engine/debugging.h"

#include <cstdlib>

#include "engine/replay.h"
#include "kernels/base/check.h"
#include "tests/support/test.h"

namespace haze::engine {
namespace {

struct DebuggingWords : testing::Test {
  ~DebuggingWords() override { unsetenv("HAZE_DEBUG"); }
  static Debugging of(const char* words) {
    setenv("HAZE_DEBUG", words, 1);
    return debugging();
  }
};

TEST_F(DebuggingWords, EachTurnsOffItsOwn) {
  for (const auto& [words, graphs, resident, arena] :
       {std::tuple{"", true, true, true},
        {"no-graphs", false, true, true},
        {"streamed-data", true, false, true},
        {"separate-memory", false, true, false},
        {"no-graphs,streamed-data", false, false, true}}) {
    const Debugging d = of(words);
    EXPECT_EQ(std::tuple(d.graphs, d.resident_data, d.arena), std::tuple(graphs, resident, arena))
        << words;
    const Context context{test::device()};
    EXPECT_EQ(std::tuple(context.graphs, context.resident_data), std::tuple(graphs, resident));
  }
  for (const char* words : {"graphs", "no-graphs,,streamed-data", "no-graphs ", ","})
    EXPECT_THROW(of(words), InputError) << words;
}

TEST_F(DebuggingWords, SeparateMemoryAsksTheSystemForEachAllocation) {
  setenv("HAZE_DEBUG", "separate-memory", 1);
  Context context{test::device()};
  Arena& arena = context.arena;
  {
    const auto a = arena.allocate(1000);
    auto b = arena.allocate(0);
    EXPECT_EQ(arena.system_allocations(), 2u);
    EXPECT_EQ(arena.live_bytes(), 1024u + 256u);
    EXPECT_EQ(arena.reserved_bytes(), arena.live_bytes());
    b = nullptr;
    EXPECT_EQ(arena.live_bytes(), 1024u);
  }
  arena.consolidate();
  EXPECT_EQ(arena.live_bytes(), 0u);
  EXPECT_EQ(arena.peak_bytes(), 1024u + 256u);
  arena.allocate(1000);
  EXPECT_EQ(arena.system_allocations(), 3u);
}

}  // namespace
}  // namespace haze::engine
