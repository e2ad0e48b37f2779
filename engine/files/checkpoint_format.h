// SPDX-License-Identifier: MIT
// checkpoint_format.h — what the writer and the loader of checkpoints share. Not for others.
#pragma once
#include <string>
#include <string_view>

#include "engine/files/checkpoint.h"

namespace haze::engine {

inline constexpr const char* kCheckpointFormat = "haze-checkpoint/1";
inline constexpr std::size_t kHashDigits = 32;

/// Where the digits of header_hash start in a header's JSON; npos if there is none. The text before
/// them cannot occur inside a string, where quotes are escaped.
inline std::size_t header_hash_at(std::string_view json) {
  constexpr std::string_view key = "\"header_hash\":\"";
  const auto at = json.find(key);
  if (at == json.npos || json.size() - at - key.size() < kHashDigits) return json.npos;
  return at + key.size();
}

/// Index of the first value that is not finite; values.size() if all are.
std::size_t first_nonfinite(std::span<const float> values);

}  // namespace haze::engine
