// SPDX-License-Identifier: MIT
#include "tests/fuzz/gunzip.h"

#include <algorithm>
#include <zlib.h>

namespace haze::fuzz {
namespace {

/// Where the deflate stream starts; 0 if the header is damaged or does not end.
std::size_t stream_begin(Input file) {
  constexpr unsigned kHeaderCrc = 2, kExtra = 4, kName = 8, kComment = 16, kReserved = 0xE0;
  if (file.size() < 10 || file[2] != 8 || file[3] & kReserved) return 0;
  const unsigned flags = file[3];
  std::size_t at = 10;
  if (flags & kExtra) {
    if (file.size() < at + 2) return 0;
    at += 2 + std::size_t(file[at] | file[at + 1] << 8);
  }
  for (const unsigned text : {kName, kComment}) {
    if (!(flags & text)) continue;
    while (at < file.size() && file[at] != 0) ++at;
    ++at;
  }
  if (flags & kHeaderCrc) {
    if (file.size() < at + 2) return 0;
    if ((crc32(0, file.data(), uInt(at)) & 0xFFFF) != unsigned(file[at] | file[at + 1] << 8))
      return 0;
    at += 2;
  }
  return at < file.size() ? at : 0;
}

}  // namespace

Gunzipped gunzip(Input file) {
  const std::size_t begin = stream_begin(file);
  if (begin == 0) return {};
  z_stream z{};
  if (inflateInit2(&z, -15) != Z_OK) throw std::runtime_error("zlib");
  z.next_in = const_cast<Bytef*>(file.data() + begin);
  z.avail_in = uInt(file.size() - begin);
  Bytes content;
  int result = Z_OK;
  do {
    const std::size_t had = content.size();
    content.resize(had + (64 << 10));
    z.next_out = content.data() + had;
    z.avail_out = uInt(content.size() - had);
    result = inflate(&z, Z_NO_FLUSH);
    content.resize(content.size() - z.avail_out);
  } while (result == Z_OK && content.size() <= kMostInflated);
  const Input rest = file.last(z.avail_in);
  inflateEnd(&z);
  const std::size_t length = content.size();
  if (length > kMostInflated) return {true, {}, length};
  if (result != Z_STREAM_END || rest.size() != 8) return {false, {}, length};
  const auto number = [&](std::size_t at) {
    return std::uint32_t{rest[at]} | std::uint32_t{rest[at + 1]} << 8 |
           std::uint32_t{rest[at + 2]} << 16 | std::uint32_t{rest[at + 3]} << 24;
  };
  const bool whole =
      number(0) == crc32(0, content.data(), uInt(length)) && number(4) == std::uint32_t(length);
  if (!whole) return {false, {}, length};
  return {false, content, length};
}

}  // namespace haze::fuzz
