// SPDX-License-Identifier: MIT
// gunzip.h — gzip files (RFC 1952) taken apart by hand: the frame is parsed here, zlib only
// inflates the raw stream in it.
#pragma once
#include <optional>

#include "tests/fuzz/target.h"

namespace haze::fuzz {

constexpr std::size_t kMostInflated = 1 << 20;

struct Gunzipped {
  bool too_long = false;         // more than kMostInflated: not judged
  std::optional<Bytes> content;  // nothing unless the file is one whole member and no more
  std::size_t length = 0;        // bytes that the stream inflates to, be the file whole or not
};
Gunzipped gunzip(Input file);

/// Whether ByteSource takes a file for a packed one.
inline bool is_packed(Input file) { return file.size() >= 2 && file[0] == 0x1F && file[1] == 0x8B; }

}  // namespace haze::fuzz
