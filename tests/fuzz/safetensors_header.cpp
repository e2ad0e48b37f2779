// SPDX-License-Identifier: MIT
// Target: the JSON of a safetensors header. Input: eight bytes with the number of bytes of data
// (little-endian, of which 32 bits count), then the JSON.
#include <algorithm>

#include "engine/files/safetensors.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/safetensors_rules.h"

namespace haze::fuzz {
namespace {

void one_input(Input input) {
  if (input.size() < 8) return;
  std::uint64_t data = 0;
  for (int i = 3; i >= 0; --i) data = data << 8 | input[std::size_t(i)];
  const std::string json = text_of(input.subspan(8));
  const auto header =
      accepted([&] { return engine::parse_safetensors_header(json, data, "file"); });
  if (header) hold_to_format(*header, json, data);
}

const Target kTarget("safetensors_header", one_input);

}  // namespace
}  // namespace haze::fuzz
