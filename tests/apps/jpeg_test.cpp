// SPDX-License-Identifier: MIT
// jpeg_test.cpp — JPEG files, good ones of every kind, damaged ones, and ones that lie.
#include "apps/image/jpeg.h"

#include "tests/support/jpeg_file.h"
#include "tests/support/test.h"

namespace haze::apps {
namespace {
using test::Bytes;
using test::expect_refused;
using test::jpeg_file;

/// Smooth colours, which JPEG keeps: x, y and their sum as the channels.
Bytes smooth(int height, int width, int channels) {
  Bytes pixels;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        pixels.push_back(std::uint8_t(c == 0   ? 40 + 4 * x
                                      : c == 1 ? 200 - 5 * y
                                               : 60 + 2 * x + 2 * y));
  return pixels;
}

Image decode(const Bytes& bytes) { return decode_image(bytes, "it.jpg"); }

TEST(Jpeg, ReadsGreyColourAndProgressive) {
  for (const int channels : {1, 3})
    for (const bool progressive : {false, true}) {
      const Bytes pixels = smooth(19, 30, channels);
      const Image image = decode(jpeg_file(pixels, 19, 30, channels, {.progressive = progressive}));
      EXPECT_EQ(std::vector({image.height, image.width, image.channels}),
                std::vector({19, 30, channels}));
      // Quality 95 quantises in steps of up to 10 per coefficient; smooth pictures stay within 6.
      test::expect_close(image.pixels, pixels, 0, 6, "pixels");
    }
}

TEST(Jpeg, ConvertsCmyk) {
  Bytes inks;  // stored inverted: 255 is no ink
  for (int i = 0; i < 64; ++i) inks.insert(inks.end(), {255, 128, 0, 200});
  const Image image = decode(jpeg_file(inks, 8, 8, 4));
  EXPECT_EQ(image.channels, 3);
  for (std::size_t p = 0; p < 64; ++p) {
    EXPECT_NEAR(image.pixels[3 * p], 200, 3);      // 255·200/255
    EXPECT_NEAR(image.pixels[3 * p + 1], 100, 3);  // 128·200/255
    EXPECT_NEAR(image.pixels[3 * p + 2], 0, 3);
  }
}

TEST(Jpeg, TurnsAsExifSays) {
  const Bytes pixels = smooth(16, 24, 1);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Bytes exif = {'E', 'x',  'i', 'f', 0,
                        0,   'I',  'I', 42,  0,
                        8,   0,    0,   0,   1,
                        0,   0x12, 1,   3,   0,
                        1,   0,    0,   0,   std::uint8_t(orientation),
                        0,   0,    0};
    const Image image = decode(jpeg_file(pixels, 16, 24, 1, {.app1 = exif}));
    const Image want = upright(Image{16, 24, 1, pixels}, orientation);
    EXPECT_EQ(std::pair(image.height, image.width), std::pair(want.height, want.width));
    test::expect_close(image.pixels, want.pixels, 0, 6, cat("orientation ", orientation));
  }
  const Bytes other = {'h', 't', 't', 'p', ':', '/', '/'};  // APP1 is also used for XMP
  EXPECT_EQ(decode(jpeg_file(pixels, 16, 24, 1, {.app1 = other})).width, 24);
}

TEST(Jpeg, RefusesEveryTruncation) {
  for (const bool progressive : {false, true}) {
    const Bytes whole = jpeg_file(smooth(16, 16, 3), 16, 16, 3, {.progressive = progressive});
    EXPECT_EQ(decode(whole).height, 16);
    for (std::size_t n = 0; n < whole.size(); ++n)
      expect_refused([&] { decode(Bytes(whole.begin(), whole.begin() + std::ptrdiff_t(n))); },
                     "it.jpg", cat("cut at ", n));
  }
}

// A JPEG has no checksum, so damage may go unseen; it must never do more than that.
TEST(Jpeg, SurvivesEveryDamagedByte) {
  for (const bool progressive : {false, true}) {
    const Bytes whole = jpeg_file(smooth(16, 16, 3), 16, 16, 3,
                                  {.progressive = progressive, .app1 = {'E', 'x', 'i', 'f', 0, 0}});
    int accepted = 0, refused = 0;
    for (std::size_t n = 0; n < whole.size(); ++n)
      for (const std::uint8_t flip : {0x01, 0x10, 0xFF}) {
        Bytes bad = whole;
        bad[n] ^= flip;
        try {
          const Image image = decode(bad);
          ++accepted;
          EXPECT_EQ(image.pixels.size(), std::size_t(image.height) * image.width * image.channels);
        } catch (const InputError&) {
          ++refused;
        }
      }
    EXPECT_GT(accepted, 0);
    EXPECT_GT(refused, 100);
  }
}

std::size_t frame_header(const Bytes& file) {  // SOF0: length 2, precision 1, then height and width
  for (std::size_t i = 0; i + 1 < file.size(); ++i)
    if (file[i] == 0xFF && file[i + 1] == 0xC0) return i;
  ADD_FAILURE() << "no SOF0";
  return 0;
}

TEST(Jpeg, RefusesFilesThatLie) {
  const Bytes good = jpeg_file(smooth(16, 16, 3), 16, 16, 3);
  const auto with_size = [&](int height, int width) {
    Bytes bad = good;
    const std::size_t at = frame_header(good) + 5;
    bad[at] = std::uint8_t(height >> 8);
    bad[at + 1] = std::uint8_t(height);
    bad[at + 2] = std::uint8_t(width >> 8);
    bad[at + 3] = std::uint8_t(width);
    return bad;
  };
  const auto refused = [](const Bytes& bytes, const std::string& why) {
    expect_refused([&] { decode(bytes); }, why, why);
  };
  refused(with_size(65500, 65500), "65500x65500 pixels");
  refused(with_size(16, 16385), "16x16385 pixels (height x width)");
  refused(with_size(16384, 4097), "16384x4097 pixels");  // sides allowed, area not
  refused(with_size(0, 16), "JPEG");
  refused(with_size(16, 0), "JPEG");
  refused(with_size(160, 160), "premature end of data");  // data for a hundredth of it
  Bytes joined = good;  // the start of a second file inside the first one's data
  joined.insert(joined.end() - 2, {0xFF, 0xD8});
  refused(joined, "JPEG");
  refused({0xFF, 0xD8, 0xFF}, "JPEG");
  refused({0xFF, 0xD8, 0x00, 0x00}, "neither a PNG nor a JPEG");
}

// A scan for each coefficient, then one more to refine each: 128 passes over a picture of any size.
TEST(Jpeg, RefusesManyScans) {
  std::vector<jpeg_scan_info> scans;
  for (const int high : {0, 1})
    for (int k = 0; k < 64; ++k) {
      jpeg_scan_info scan{};
      scan.comps_in_scan = 1;
      scan.Ss = scan.Se = k;
      scan.Ah = high;
      scan.Al = 1 - high;
      scans.push_back(scan);
    }
  const Bytes pixels = smooth(16, 16, 1);
  expect_refused([&] { decode(jpeg_file(pixels, 16, 16, 1, {.scans = scans})); },
                 "more than 100 scans");
  scans.resize(100);
  EXPECT_EQ(decode(jpeg_file(pixels, 16, 16, 1, {.scans = scans})).height, 16);
}

}  // namespace
}  // namespace haze::apps
