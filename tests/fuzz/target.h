// SPDX-License-Identifier: MIT
// target.h — a reader under attack: any bytes go in, and what it accepts or says is held against
// what it promises, computed again by other means. tests/fuzz/README.md lists the targets.
#pragma once
#include <cstdint>
#include <ostream>
#include <span>
#include <stdexcept>
#include <vector>

#include "kernels/base/check.h"

namespace haze::fuzz {

using Input = std::span<const std::uint8_t>;
using Bytes = std::vector<std::uint8_t>;

/// A reader that does not do as it promises. Nothing catches it but the two main programs.
struct BrokenPromise : std::logic_error {
  using std::logic_error::logic_error;
};
template <class... Parts>
void promise(bool kept, const Parts&... what) {
  if (!kept) throw BrokenPromise(cat(what...));
}

/// Runs one input: returns, or throws what is a fault. Must not depend on earlier inputs.
using OneInput = void (*)(Input input);

/// A target makes itself known: `const Target kTarget("png", one_input);` in its file. A program of
/// libFuzzer's has one of them, fuzz_test has all.
struct Target {
  Target(const char* name, OneInput run) : name(name), run(run) { all().push_back(this); }
  static std::vector<const Target*>& all() {
    static std::vector<const Target*> list;
    return list;
  }
  const char* name;
  OneInput run;
};
/// For the names of tests.
inline void PrintTo(const Target* target, std::ostream* to) { *to << target->name; }

}  // namespace haze::fuzz
