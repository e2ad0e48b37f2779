// SPDX-License-Identifier: MIT
// large_inputs.h — hostile inputs too large to be kept as files.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/target.h"

namespace haze::fuzz {

struct LargeInput {
  std::string name;
  Bytes bytes;
};
std::vector<LargeInput> large_inputs(std::string_view target);

}  // namespace haze::fuzz
