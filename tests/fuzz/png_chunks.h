// SPDX-License-Identifier: MIT
// png_chunks.h — the frame of a PNG (W3C PNG, section 5), walked by hand.
#pragma once
#include <optional>
#include <string>
#include <zlib.h>

#include "tests/fuzz/target.h"

namespace haze::fuzz {

struct Chunk {
  std::string name;
  Input content;
};
inline std::uint32_t big_endian(Input bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 |
         std::uint32_t{bytes[at + 2]} << 8 | bytes[at + 3];
}

/// The chunks up to IEND, or up to the first that `last` is true of; nothing if the signature, a
/// length or a checksum before that is wrong.
template <class Last>
std::optional<std::vector<Chunk>> chunks_of(Input png, Last last) {
  static constexpr std::uint8_t kSignature[] = {0x89, 'P', 'N', 'G', 13, 10, 26, 10};
  if (png.size() < 8 || !std::equal(kSignature, kSignature + 8, png.begin())) return {};
  std::vector<Chunk> chunks;
  for (std::size_t at = 8; at + 12 <= png.size();) {
    const std::size_t length = big_endian(png, at);
    if (length > png.size() - at - 12) return {};
    const Input all = png.subspan(at + 4, 4 + length);
    if (crc32(0, all.data(), uInt(all.size())) != big_endian(png, at + 8 + length)) return {};
    chunks.push_back({std::string(all.begin(), all.begin() + 4), all.subspan(4)});
    if (chunks.back().name == "IEND" || last(chunks.back())) return chunks;
    at += 12 + length;
  }
  return {};
}
inline std::optional<std::vector<Chunk>> chunks_of(Input png) {
  return chunks_of(png, [](const Chunk&) { return false; });
}

}  // namespace haze::fuzz
