// SPDX-License-Identifier: MIT
// jpeg.cpp — libjpeg reports an error by a jump, as libpng does (png_read.cpp): what owns something
// lives in Reader, outside of setjmp's frame.
#include "apps/image/jpeg.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <jpeglib.h>

#include "apps/image/png.h"
#include "engine/files/foreign.h"
#include "kernels/base/check.h"

namespace haze::apps {
namespace {

// A progressive picture is held as 16-bit coefficients, 6 bytes a pixel: 384 MiB at the largest.
constexpr long kMostMemory = 512L << 20;
constexpr int kMostScans = 100;  // each costs a pass over the whole picture
constexpr unsigned kMostExif = 0xFFFF;

struct Reader {
  char message[JMSG_LENGTH_MAX] = "damaged";
  std::jmp_buf escape;
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  jpeg_decompress_struct jpeg{};

  ~Reader() { jpeg_destroy_decompress(&jpeg); }  // also right where create was never reached
};

[[noreturn]] void on_error(j_common_ptr jpeg) {
  auto* reader = static_cast<Reader*>(jpeg->client_data);
  jpeg->err->format_message(jpeg, reader->message);
  std::longjmp(reader->escape, 1);
}

/// Level -1 is a warning that data is damaged; what follows would be a guess.
void on_message(j_common_ptr jpeg, int level) {
  if (level < 0) on_error(jpeg);
}

void on_progress(j_common_ptr jpeg) {
  auto* reader = static_cast<Reader*>(jpeg->client_data);
  if (reader->jpeg.input_scan_number <= kMostScans) return;
  std::snprintf(reader->message, sizeof reader->message, "more than %d scans", kMostScans);
  std::longjmp(reader->escape, 1);
}

/// Reads up to the pixels and chooses the colours that come out. False: see message.
bool read_head(Reader& r, std::span<const std::uint8_t> bytes) {
  if (setjmp(r.escape)) return false;
  r.jpeg.err = jpeg_std_error(&r.errors);
  r.errors.error_exit = on_error;
  r.errors.emit_message = on_message;
  r.jpeg.client_data = &r;
  jpeg_create_decompress(&r.jpeg);
  r.jpeg.mem->max_memory_to_use = kMostMemory;
  r.progress.progress_monitor = on_progress;
  r.jpeg.progress = &r.progress;
  jpeg_save_markers(&r.jpeg, JPEG_APP0 + 1, kMostExif);
  jpeg_mem_src(&r.jpeg, bytes.data(), bytes.size());
  jpeg_read_header(&r.jpeg, TRUE);
  const auto& j = r.jpeg;
  if (j.image_width > unsigned(kMostSide) || j.image_height > unsigned(kMostSide) ||
      std::int64_t{j.image_width} * j.image_height > kMostPixels) {
    std::snprintf(r.message, sizeof r.message, "%ux%u pixels (height x width)", j.image_height,
                  j.image_width);
    return false;
  }
  const auto stored = r.jpeg.jpeg_color_space;
  r.jpeg.out_color_space = stored == JCS_GRAYSCALE                    ? JCS_GRAYSCALE
                           : stored == JCS_CMYK || stored == JCS_YCCK ? JCS_CMYK
                                                                      : JCS_RGB;
  r.jpeg.dct_method = JDCT_ISLOW;  // exact integers: the same bytes with and without SIMD
  jpeg_calc_output_dimensions(&r.jpeg);
  return true;
}

/// Reads the pixels and everything up to the end of the picture. False: see message.
bool read_rows(Reader& r, std::uint8_t* to) {
  if (setjmp(r.escape)) return false;
  jpeg_start_decompress(&r.jpeg);
  const std::size_t row = std::size_t(r.jpeg.output_width) * r.jpeg.output_components;
  while (r.jpeg.output_scanline < r.jpeg.output_height) {
    JSAMPROW at = to + row * r.jpeg.output_scanline;
    jpeg_read_scanlines(&r.jpeg, &at, 1);
  }
  jpeg_finish_decompress(&r.jpeg);
  return true;
}

/// [n, 4] -> [n, 3]. Adobe's programs store the four inks inverted and say so by their marker.
void cmyk_to_rgb(std::vector<std::uint8_t>& pixels, bool inverted) {
  const std::size_t n = pixels.size() / 4;
  const int flip = inverted ? 0 : 255;
  for (std::size_t i = 0; i < n; ++i) {
    const int key = pixels[4 * i + 3] ^ flip;
    for (int c = 0; c < 3; ++c)
      pixels[3 * i + c] = std::uint8_t(((pixels[4 * i + c] ^ flip) * key + 127) / 255);
  }
  pixels.resize(3 * n);
}

[[noreturn]] void refuse(const std::string& name, const char* message) {
  throw InputError(cat(name, ": JPEG: ", message, "; an intact JPEG of at most ", kMostSide,
                       " pixels a side and 64 Mi in all is needed"));
}

}  // namespace

Image decode_jpeg(std::span<const std::uint8_t> bytes, const std::string& name,
                  const SizeCheck& check) {
  Reader r;
  if (!read_head(r, bytes)) refuse(name, r.message);
  const int stored = r.jpeg.out_color_components;
  const bool inverted = r.jpeg.saw_Adobe_marker;
  int orientation = 1;
  for (jpeg_saved_marker_ptr m = r.jpeg.marker_list; m && orientation == 1; m = m->next)
    orientation = exif_orientation({m->data, m->data_length});
  Image image{int(r.jpeg.output_height), int(r.jpeg.output_width), stored == 1 ? 1 : 3, {}};
  const bool lies = orientation >= 5;  // upright() will turn it by a quarter
  if (check) check(lies ? image.width : image.height, lies ? image.height : image.width);
  image.pixels.resize(std::size_t(image.height) * image.width * stored);
  if (!read_rows(r, image.pixels.data())) refuse(name, r.message);
  if (stored == 4) cmyk_to_rgb(image.pixels, inverted);
  return upright(std::move(image), orientation);
}

Image decode_image(std::span<const std::uint8_t> bytes, const std::string& name,
                   const SizeCheck& check) {
  constexpr std::uint8_t kPng[] = {0x89, 'P', 'N', 'G'}, kJpeg[] = {0xFF, 0xD8, 0xFF};
  const auto starts = [&](std::span<const std::uint8_t> magic) {
    return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
  };
  if (starts(kPng)) return decode_png(bytes, name, check);
  if (starts(kJpeg)) return decode_jpeg(bytes, name, check);
  const std::string_view first(reinterpret_cast<const char*>(bytes.data()),
                               std::min<std::size_t>(bytes.size(), 16));
  const std::string content = engine::foreign_content(first);
  throw InputError(
      cat(name, ": neither a PNG nor a JPEG by its first bytes; ",
          content.empty() ? "other formats need converting first" : "it is " + content));
}

}  // namespace haze::apps
