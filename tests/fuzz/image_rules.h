// SPDX-License-Identifier: MIT
// image_rules.h — what holds of every decoder.
#pragma once
#include <functional>
#include <optional>

#include "apps/image/image.h"
#include "tests/fuzz/target.h"

namespace haze::fuzz {

using Decode = std::function<apps::Image(Input bytes, const apps::SizeCheck& check)>;

/// Decodes pictures of up to 2^20 pixels; larger ones are refused by the size check, as a data set
/// does it. Holds what comes out against Image's promises, and the size check against its own.
std::optional<apps::Image> decode_checked(Input bytes, const Decode& decode);

}  // namespace haze::fuzz
