// SPDX-License-Identifier: MIT
// png_test.cpp — PNG files, good ones of every kind and ones that lie, made here byte by byte.
#include "apps/image/png.h"

#include <zlib.h>

#include "apps/data/dataset.h"
#include "apps/image/jpeg.h"
#include "tests/support/data_files.h"
#include "tests/support/pictures.h"
#include "tests/support/test.h"

namespace haze::apps {
namespace {
using test::Bytes;
using test::expect_refused;
using test::picture;

void append_big_endian(Bytes& to, std::uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) to.push_back(std::uint8_t(v >> shift));
}

/// A chunk with its length and checksum.
Bytes chunk(const std::string& type, const Bytes& content) {
  Bytes out;
  append_big_endian(out, std::uint32_t(content.size()));
  for (const char c : type) out.push_back(std::uint8_t(c));
  for (const std::uint8_t b : content) out.push_back(b);
  append_big_endian(out, std::uint32_t(crc32(0, out.data() + 4, uInt(out.size() - 4))));
  return out;
}

/// A PNG written by hand, so that it can be anything: rows hold their filter byte.
Bytes png(std::uint32_t width, std::uint32_t height, int depth, int colour, const Bytes& rows,
          const std::vector<Bytes>& before = {}, int interlace = 0) {
  Bytes out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  const auto add = [&](const Bytes& b) { out.insert(out.end(), b.begin(), b.end()); };
  Bytes head;
  append_big_endian(head, width);
  append_big_endian(head, height);
  for (const int v : {depth, colour, 0, 0, interlace}) head.push_back(std::uint8_t(v));
  add(chunk("IHDR", head));
  for (const Bytes& b : before) add(b);
  Bytes packed(compressBound(rows.size()));
  uLongf size = packed.size();
  EXPECT_EQ(compress2(packed.data(), &size, rows.data(), rows.size(), 9), Z_OK);
  packed.resize(size);
  add(chunk("IDAT", packed));
  add(chunk("IEND", {}));
  return out;
}

Image decode(const Bytes& bytes) { return decode_image(bytes, "it.png"); }

TEST(Png, ComesBackAsItWas) {
  for (const int channels : {1, 3})
    for (const auto& [height, width] : {std::pair{1, 1}, std::pair{5, 7}, std::pair{64, 33}}) {
      const Image image = picture(height, width, channels);
      const Image back = decode(encode_png(image));
      EXPECT_EQ(std::vector({back.height, back.width, back.channels}),
                std::vector({height, width, channels}));
      EXPECT_EQ(back.pixels, image.pixels);
    }
}

TEST(Png, KeepsTheRecipe) {
  const std::string recipe = R"({"v":1,"run":"zäh","seed":7})";
  const Image image = picture(3, 3, 3);
  const Bytes with = encode_png(image, recipe), without = encode_png(image);
  EXPECT_EQ(png_recipe(with, "a"), recipe);
  EXPECT_EQ(png_recipe(without, "a"), std::nullopt);
  EXPECT_EQ(decode(with).pixels, image.pixels);
  EXPECT_EQ(with, encode_png(image, recipe)) << "the same bytes each time";
  for (std::size_t n = 0; n < without.size(); ++n)
    expect_refused([&] { png_recipe(std::span(without).first(n), "a"); }, "PNG", cat("cut at ", n));
  Bytes bad = with;
  bad[60] ^= 1;
  expect_refused([&] { png_recipe(bad, "a"); }, "checksum");
  bad = with;
  bad[8] = 0xFF;  // a chunk of 4 GiB
  expect_refused([&] { png_recipe(bad, "a"); }, "longer than the file");
}

TEST(Png, ReadsEveryKind) {
  // Grey of 1, 2, 4 and 16 bits.
  EXPECT_EQ(decode(png(4, 1, 1, 0, {0, 0xA0})).pixels, (Bytes{255, 0, 255, 0}));
  EXPECT_EQ(decode(png(4, 1, 2, 0, {0, 0x1B})).pixels, (Bytes{0, 85, 170, 255}));
  EXPECT_EQ(decode(png(2, 1, 4, 0, {0, 0x3F})).pixels, (Bytes{51, 255}));
  EXPECT_EQ(decode(png(2, 1, 16, 0, {0, 0x80, 0x00, 0x12, 0xFF})).pixels,
            (Bytes{128, 19}));  // rounded
  const Image deep = decode(png(1, 1, 16, 2, {0, 255, 255, 1, 1, 0, 0}));
  EXPECT_EQ(deep.channels, 3);
  EXPECT_EQ(deep.pixels, (Bytes{255, 1, 0}));
  // A palette, also with transparent entries.
  const Bytes palette = chunk("PLTE", {10, 20, 30, 200, 100, 0});
  EXPECT_EQ(decode(png(2, 1, 8, 3, {0, 1, 0}, {palette})).pixels, (Bytes{200, 100, 0, 10, 20, 30}));
  EXPECT_EQ(decode(png(2, 1, 8, 3, {0, 1, 0}, {palette, chunk("tRNS", {0, 255})})).pixels,
            (Bytes{200, 100, 0, 255, 255, 255}));
  // Alpha lies over white: 100·(128/255) + 255·(127/255) = 177.2.
  EXPECT_EQ(decode(png(3, 1, 8, 4, {0, 100, 255, 100, 0, 100, 128})).pixels,
            (Bytes{100, 255, 177}));
  EXPECT_EQ(decode(png(1, 1, 8, 6, {0, 1, 2, 3, 255})).pixels, (Bytes{1, 2, 3}));
  EXPECT_EQ(decode(png(1, 1, 8, 6, {0, 1, 2, 3, 0})).pixels, (Bytes{255, 255, 255}));
  // Interlaced: passes 1, 4, 6 of Adam7 hold the four pixels of a 2x2 picture,
  // pass 7 its second row.
  EXPECT_EQ(decode(png(2, 2, 8, 0, {0, 1, 0, 2, 0, 3, 4}, {}, 1)).pixels, (Bytes{1, 2, 3, 4}));
}

TEST(Png, RefusesEveryTruncationAndDamage) {
  const Bytes whole = encode_png(picture(6, 5, 3), "recipe");
  for (std::size_t n = 0; n < whole.size(); ++n)
    expect_refused([&] { decode(Bytes(whole.begin(), whole.begin() + std::ptrdiff_t(n))); },
                   "it.png", cat("cut at ", n));
  for (std::size_t n = 0; n < whole.size(); ++n)  // every byte is under a checksum or a signature
    for (const std::uint8_t flip : {0x01, 0x20, 0x80}) {
      Bytes bad = whole;
      bad[n] ^= flip;
      expect_refused([&] { decode(bad); }, "it.png", cat("byte ", n, " flipped by ", int(flip)));
    }
}

TEST(Png, RefusesFilesThatLie) {
  const auto refused = [](const Bytes& bytes, const std::string& why) {
    expect_refused([&] { decode(bytes); }, why, why);
  };
  refused({}, "neither a PNG nor a JPEG");
  refused({'G', 'I', 'F', '8', '9', 'a'}, "neither a PNG nor a JPEG");
  refused(png(16385, 1, 8, 0, Bytes(16386)), "PNG");
  refused(png(1, 16385, 8, 0, Bytes(2 * 16385)), "PNG");
  refused(png(16384, 4097, 1, 0, {0}),
          "more than 64 Mi pixels");  // refused before any memory is taken
  refused(png(0x7FFFFFFF, 0x7FFFFFFF, 16, 6, {0}), "PNG");
  refused(png(0, 1, 8, 0, {0}), "PNG");
  refused(png(2, 1, 3, 0, {0, 0}), "PNG");           // no such depth
  refused(png(2, 1, 8, 5, {0, 0}), "PNG");           // no such colour type
  refused(png(2, 1, 8, 3, {0, 0, 0}), "PNG");        // palette missing
  refused(png(2, 2, 8, 0, {0, 1, 2, 0, 3}), "PNG");  // a pixel missing
  refused(png(2, 1, 8, 0, {9, 1, 2}), "PNG");        // no such filter
  EXPECT_EQ(decode(png(16384, 1, 8, 0, Bytes(16385))).width, 16384);
  EXPECT_EQ(decode(png(1, 16384, 8, 0, Bytes(2 * 16384))).height, 16384);
}

TEST(Png, OfSixteenBitsThatHoldTwelveIsNotedByTheFolder) {
  const auto notes = [](std::uint8_t upper, int channels) {
    const test::DataFolder folder;
    const Bytes deep = channels == 1 ? Bytes{0, 0, 200, upper, 255}
                                     : Bytes{0, 0, 200, 0, 3, upper, 255, 0, 9, 0, 1, 0, 2};
    folder.write("a.png", png(2, 1, 16, channels == 1 ? 0 : 2, deep));
    folder.write("b.png", encode_png(picture(1, 2, 3)));
    return open_dataset("images:" + folder.path).notes;
  };
  for (const int channels : {1, 3}) {
    EXPECT_THAT(notes(0x0F, channels),
                testing::ElementsAre(testing::HasSubstr(
                    "1 images of 16 bits use the values 0 to 4112 of 65535: 17 of 256 shades")));
    EXPECT_THAT(notes(0x7F, channels), testing::SizeIs(1)) << "127 of 255";
    EXPECT_THAT(notes(0x80, channels), testing::IsEmpty()) << "128 of 255";
  }
}

TEST(Png, StepsOverBrokenProfilesAndBombsInText) {
  Bytes text = {'k', 0, 0};  // zTXt: a keyword and a stream that would inflate to 64 MiB
  Bytes zeros(64 << 20), packed(compressBound(zeros.size()));
  uLongf size = packed.size();
  ASSERT_EQ(compress2(packed.data(), &size, zeros.data(), zeros.size(), 1), Z_OK);
  text.insert(text.end(), packed.begin(), packed.begin() + std::ptrdiff_t(size));
  const Bytes bytes =
      png(1, 1, 8, 0, {0, 42},
          {chunk("zTXt", text), chunk("iCCP", {'x', 0, 0, 1, 2}), chunk("eXIf", {1, 2, 3})});
  EXPECT_EQ(decode(bytes).pixels, Bytes{42});
}

}  // namespace
}  // namespace haze::apps
