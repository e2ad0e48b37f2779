// SPDX-License-Identifier: MIT
// animation_test.cpp — animated PNG, read back by the rules of its specification: each frame is
// made into a plain PNG again, which libpng must decode to the pixels that went in.
#include "apps/image/animation.h"

#include <zlib.h>

#include "apps/image/png.h"
#include "tests/support/pictures.h"
#include "tests/support/test.h"

namespace haze::apps {
namespace {
using test::Bytes;
using test::picture;

struct Chunk {
  std::string name;
  Bytes content;
};

std::uint32_t u32(const Bytes& b, std::size_t at) {
  return std::uint32_t(b[at]) << 24 | b[at + 1] << 16 | b[at + 2] << 8 | b[at + 3];
}

std::vector<Chunk> chunks_of(const Bytes& file) {
  EXPECT_EQ(Bytes(file.begin(), file.begin() + 8),
            (Bytes{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'}));
  std::vector<Chunk> chunks;
  for (std::size_t at = 8; at < file.size();) {
    const std::size_t length = u32(file, at);
    EXPECT_LE(at + 12 + length, file.size());
    EXPECT_EQ(crc32(0, file.data() + at + 4, uInt(4 + length)), u32(file, at + 8 + length));
    chunks.push_back({std::string(file.begin() + long(at + 4), file.begin() + long(at + 8)),
                      Bytes(file.begin() + long(at + 8), file.begin() + long(at + 8 + length))});
    at += 12 + length;
  }
  return chunks;
}

void append(Bytes& to, const std::string& name, const Bytes& content) {
  const auto number = [&](std::uint32_t v) {
    for (int shift = 24; shift >= 0; shift -= 8) to.push_back(std::uint8_t(v >> shift));
  };
  number(std::uint32_t(content.size()));
  const std::size_t begin = to.size();
  to.insert(to.end(), name.begin(), name.end());
  to.insert(to.end(), content.begin(), content.end());
  number(std::uint32_t(crc32(0, to.data() + begin, uInt(to.size() - begin))));
}

struct Read {
  std::vector<Image> frames;
  std::vector<int> milliseconds;
  int loops = -1;
};

Read read_back(const Bytes& file) {
  Read read;
  const auto chunks = chunks_of(file);
  Bytes png;
  std::uint32_t number = 0, promised = 0;
  const auto finish = [&] {
    if (png.empty()) return;
    append(png, "IEND", {});
    read.frames.push_back(decode_png(png, "frame"));
    png.clear();
  };
  for (const Chunk& c : chunks) {
    if (c.name == "acTL") {
      EXPECT_TRUE(read.milliseconds.empty());
      promised = u32(c.content, 0), read.loops = int(u32(c.content, 4));
    } else if (c.name == "fcTL") {
      finish();
      EXPECT_EQ(c.content.size(), 26u);
      EXPECT_EQ(u32(c.content, 0), number++);
      EXPECT_EQ(u32(c.content, 4), u32(chunks[0].content, 0)) << "width";
      EXPECT_EQ(u32(c.content, 8), u32(chunks[0].content, 4)) << "height";
      EXPECT_EQ(u32(c.content, 12) + u32(c.content, 16), 0u);
      const int over = c.content[22] << 8 | c.content[23];
      EXPECT_EQ(over, 1000);
      read.milliseconds.push_back(c.content[20] << 8 | c.content[21]);
      EXPECT_EQ(c.content[24] + c.content[25], 0) << "disposal and blending";
      png.assign(file.begin(), file.begin() + 8);
      append(png, "IHDR", chunks[0].content);
    } else if (c.name == "IDAT") {
      EXPECT_EQ(read.milliseconds.size(), 1u) << "the default image is the first frame";
      append(png, "IDAT", c.content);
    } else if (c.name == "fdAT") {
      EXPECT_GT(read.milliseconds.size(), 1u);
      EXPECT_EQ(u32(c.content, 0), number++);
      append(png, "IDAT", Bytes(c.content.begin() + 4, c.content.end()));
    }
  }
  finish();
  EXPECT_EQ(chunks.front().name, "IHDR");
  EXPECT_EQ(chunks.back().name, "IEND");
  EXPECT_EQ(promised, read.frames.size());
  return read;
}

// Noise does not compress: frames of 90x70x3 take three IDAT chunks of libpng's 8 KiB each.
TEST(Animation, EveryFrameComesBack) {
  for (const int channels : {1, 3})
    for (const int count : {1, 2, 5}) {
      std::vector<Image> frames;
      for (int i = 0; i < count; ++i) frames.push_back(picture(70, 90, channels, unsigned(i)));
      const Bytes file = encode_animation(frames, {.frame_ms = 40, .last_ms = 1234, .loops = 3});
      const Read read = read_back(file);
      ASSERT_EQ(read.frames.size(), frames.size());
      EXPECT_EQ(read.loops, 3);
      for (int i = 0; i < count; ++i) {
        EXPECT_EQ(read.frames[std::size_t(i)].pixels, frames[std::size_t(i)].pixels) << i;
        EXPECT_EQ(read.milliseconds[std::size_t(i)], i + 1 == count ? 1234 : 40);
      }
    }
}

TEST(Animation, ShowsItsFirstFrameAsAPlainPng) {
  const std::vector<Image> frames = {picture(5, 7, 3, 1), picture(5, 7, 3, 2)};
  const Bytes file = encode_animation(frames, {}, "{\"v\":1}");
  EXPECT_EQ(decode_png(file, "a").pixels, frames[0].pixels);
  EXPECT_EQ(png_recipe(file, "a"), "{\"v\":1}");
  EXPECT_EQ(file, encode_animation(frames, {}, "{\"v\":1}")) << "the same bytes each time";
}

TEST(Animation, RefusesFramesThatDiffer) {
  const std::vector<Image> sizes = {picture(5, 7, 3), picture(7, 5, 3)},
                           kinds = {picture(5, 7, 3), picture(5, 7, 1)};
  EXPECT_THROW(encode_animation(sizes, {}), CheckError);
  EXPECT_THROW(encode_animation(kinds, {}), CheckError);
  EXPECT_THROW(encode_animation({}, {}), CheckError);
  EXPECT_THROW(encode_animation(std::span(sizes).first(1), {.frame_ms = 0}), CheckError);
}

}  // namespace
}  // namespace haze::apps
