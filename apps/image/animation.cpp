// SPDX-License-Identifier: MIT
// animation.cpp — each frame is written as a PNG of its own by libpng, and what an animation needs
// is put around their data: acTL once (how many frames), fcTL before each frame (size, place,
// delay), and the data of every frame but the first under the name fdAT
// with a running number in front.
#include "apps/image/animation.h"

#include <string_view>
#include <zlib.h>

#include "apps/image/png.h"
#include "kernels/base/check.h"

namespace haze::apps {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::size_t kSignature = 8, kAround = 12;  // a chunk's length, name and checksum

std::uint32_t big_endian(const std::uint8_t* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 |
         at[3];
}

void append_u32(Bytes& to, std::uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) to.push_back(std::uint8_t(v >> shift));
}

void append_u16(Bytes& to, int v) {
  to.push_back(std::uint8_t(v >> 8));
  to.push_back(std::uint8_t(v));
}

void append_chunk(Bytes& to, std::string_view name, std::span<const std::uint8_t> content) {
  append_u32(to, std::uint32_t(content.size()));
  const std::size_t begin = to.size();
  to.insert(to.end(), name.begin(), name.end());
  to.insert(to.end(), content.begin(), content.end());
  append_u32(to, std::uint32_t(crc32_z(0, to.data() + begin, to.size() - begin)));
}

/// Calls f(name, content) for each chunk of a PNG made here.
template <class F>
void for_each_chunk(const Bytes& png, F f) {
  for (std::size_t at = kSignature; at < png.size();) {
    const std::size_t length = big_endian(png.data() + at);
    f(std::string_view(reinterpret_cast<const char*>(png.data()) + at + 4, 4),
      std::span(png).subspan(at + 8, length));
    at += kAround + length;
  }
}

/// fcTL: the frame replaces the whole picture and stays for `ms` thousandths of a second.
Bytes frame_control(std::uint32_t number, const Image& frame, int ms) {
  Bytes content;
  append_u32(content, number);
  append_u32(content, std::uint32_t(frame.width));
  append_u32(content, std::uint32_t(frame.height));
  append_u32(content, 0);  // left
  append_u32(content, 0);  // top
  append_u16(content, ms);
  append_u16(content, 1000);
  append_u16(content, 0);  // nothing is cleared afterwards, nothing is blended
  return content;
}

}  // namespace

std::vector<std::uint8_t> encode_animation(std::span<const Image> frames, const AnimationOptions& o,
                                           const std::string& recipe) {
  HAZE_CHECK(!frames.empty() && o.loops >= 0, frames.size(), " frames, ", o.loops, " loops");
  for (const int ms : {o.frame_ms, o.last_ms}) HAZE_CHECK(ms >= 1 && ms <= 65535, ms, " ms");
  const Image& first = frames[0];
  for (const Image& f : frames)
    HAZE_CHECK(f.height == first.height && f.width == first.width && f.channels == first.channels,
               "frames of ", first.height, "x", first.width, "x", first.channels, " and ", f.height,
               "x", f.width, "x", f.channels);
  Bytes out;
  std::uint32_t number = 0;  // over fcTL and fdAT together
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const Bytes png = encode_png(frames[i], i == 0 ? recipe : std::string());
    const Bytes control =
        frame_control(number++, frames[i], i + 1 == frames.size() ? o.last_ms : o.frame_ms);
    bool announced = false;
    if (i == 0) out.assign(png.begin(), png.begin() + kSignature);
    for_each_chunk(png, [&](std::string_view name, std::span<const std::uint8_t> content) {
      if (name == "IDAT") {
        if (!announced) append_chunk(out, "fcTL", control);
        announced = true;
        if (i == 0) return append_chunk(out, "IDAT", content);
        Bytes numbered;
        append_u32(numbered, number++);
        numbered.insert(numbered.end(), content.begin(), content.end());
        return append_chunk(out, "fdAT", numbered);
      }
      if (i > 0 || name == "IEND") return;
      append_chunk(out, name, content);
      if (name != "IHDR") return;
      Bytes animation;
      append_u32(animation, std::uint32_t(frames.size()));
      append_u32(animation, std::uint32_t(o.loops));
      append_chunk(out, "acTL", animation);
    });
  }
  append_chunk(out, "IEND", {});
  return out;
}

}  // namespace haze::apps
