// SPDX-License-Identifier: MIT
// main.cpp — the program of one target for libFuzzer (preset fuzz; scripts/fuzz runs them). What a
// target throws ends it, and libFuzzer keeps the input.
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    haze::fuzz::Target::all().front()->run({data, size});
  } catch (const haze::fuzz::BrokenPromise& e) {
    std::fprintf(stderr, "== broken promise: %s\n", e.what());
    std::abort();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "== thrown: %s\n", e.what());
    std::abort();
  }
  return 0;
}
