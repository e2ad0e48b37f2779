// SPDX-License-Identifier: MIT
// safetensors_rules.h — the rules of the format, computed again from a header's JSON in 128 bits.
#pragma once
#include <string_view>

#include "engine/files/safetensors.h"

namespace haze::fuzz {

/// Breaks the promise unless an accepted header keeps every rule and says what its JSON says.
void hold_to_format(const engine::SafetensorsHeader& header, std::string_view json,
                    std::uint64_t data_bytes);

}  // namespace haze::fuzz
