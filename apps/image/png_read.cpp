// SPDX-License-Identifier: MIT
// png_read.cpp — libpng reports an error by a jump over its own C frames. Between setjmp and the
// jump no object with a destructor may come to life: what owns something lives in Reader, outside.
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <png.h>
#include <zlib.h>

#include "apps/image/png.h"
#include "kernels/base/check.h"

namespace haze::apps {
namespace {

constexpr png_alloc_size_t kMostChunkMemory = 8 << 20;
constexpr png_byte kSignature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

struct Reader {
  std::span<const std::uint8_t> left;
  char message[128] = "damaged";
  std::jmp_buf escape;
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::vector<png_bytep> rows;
  bool sixteen_bits = false;

  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* reader = static_cast<Reader*>(png_get_error_ptr(png));
  std::snprintf(reader->message, sizeof reader->message, "%s", message);
  std::longjmp(reader->escape, 1);
}

void on_warning(png_structp, png_const_charp) {}  // about chunks that do not touch the picture

void on_read(png_structp png, png_bytep to, png_size_t n) {
  auto* reader = static_cast<Reader*>(png_get_io_ptr(png));
  if (n > reader->left.size()) png_error(png, "the file ends early");
  std::memcpy(to, reader->left.data(), n);
  reader->left = reader->left.subspan(n);
}

/// Reads up to the pixels and asks for 8-bit grey, grey+alpha, RGB or RGBA. False: see message.
bool read_head(Reader& r) {
  if (setjmp(r.escape)) return false;
  r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
  if (!r.png || !(r.info = png_create_info_struct(r.png))) return false;
  png_set_read_fn(r.png, &r, on_read);
  png_set_user_limits(r.png, kMostSide, kMostSide);
  png_set_chunk_malloc_max(r.png, kMostChunkMemory);
  png_set_chunk_cache_max(r.png, 128);
  png_set_crc_action(r.png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  // Colour profiles, texts and the like are stepped over, not parsed.
  static const png_byte kSkipped[] = "iCCP\0iTXt\0tEXt\0zTXt\0eXIf\0sPLT\0hIST\0pCAL\0sCAL\0tIME\0";
  png_set_keep_unknown_chunks(r.png, PNG_HANDLE_CHUNK_NEVER, nullptr, 0);
  png_set_keep_unknown_chunks(r.png, PNG_HANDLE_CHUNK_NEVER, kSkipped, int(sizeof kSkipped / 5));
  png_read_info(r.png, r.info);
  if (std::int64_t{png_get_image_width(r.png, r.info)} * png_get_image_height(r.png, r.info) >
      kMostPixels)
    png_error(r.png, "more than 64 Mi pixels");
  r.sixteen_bits = png_get_bit_depth(r.png, r.info) == 16;
  png_set_expand(r.png);  // palettes, 1 to 4 bits, transparent colours
  png_set_scale_16(r.png);
  png_set_interlace_handling(r.png);
  png_read_update_info(r.png, r.info);
  return true;
}

/// Reads the pixels and everything behind them up to the end chunk. False: see message.
bool read_rows(Reader& r) {
  if (setjmp(r.escape)) return false;
  png_read_image(r.png, r.rows.data());
  png_read_end(r.png, nullptr);
  return true;
}

[[noreturn]] void refuse(const std::string& name, const char* message) {
  throw InputError(cat(name, ": PNG: ", message, "; an intact PNG of at most ", kMostSide,
                       " pixels a side and 64 Mi in all is needed"));
}

/// [n, channels + 1] -> [n, channels]: the last channel says how much of the pixel covers white.
void over_white(std::vector<std::uint8_t>& pixels, int channels) {
  const std::size_t n = pixels.size() / (channels + 1);
  const std::uint8_t* from = pixels.data();
  std::uint8_t* to = pixels.data();
  for (std::size_t i = 0; i < n; ++i, ++from) {
    const int alpha = from[channels];
    for (int c = 0; c < channels; ++c)
      *to++ = std::uint8_t((*from++ * alpha + 255 * (255 - alpha) + 127) / 255);
  }
  pixels.resize(n * channels);
}

}  // namespace

Image decode_png(std::span<const std::uint8_t> bytes, const std::string& name,
                 const SizeCheck& check) {
  Reader r;
  r.left = bytes;
  if (!read_head(r)) refuse(name, r.message);
  Image image;
  image.height = int(png_get_image_height(r.png, r.info));
  image.width = int(png_get_image_width(r.png, r.info));
  if (check) check(image.height, image.width);
  const int stored = png_get_channels(r.png, r.info);
  const std::size_t row = std::size_t(image.width) * stored;
  HAZE_CHECK(png_get_rowbytes(r.png, r.info) == row, "libpng's rows have ",
             png_get_rowbytes(r.png, r.info), " bytes, want ", row);
  image.pixels.resize(row * image.height);
  r.rows.resize(std::size_t(image.height));
  for (int y = 0; y < image.height; ++y) r.rows[y] = image.pixels.data() + row * y;
  if (!read_rows(r)) refuse(name, r.message);
  image.channels = stored <= 2 ? 1 : 3;
  image.sixteen_bits = r.sixteen_bits;
  if (stored != image.channels) over_white(image.pixels, image.channels);
  return image;
}

std::optional<std::string> png_recipe(std::span<const std::uint8_t> bytes,
                                      const std::string& name) {
  const auto big_endian = [&](std::size_t at) {
    return std::uint32_t{bytes[at]} << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 |
           bytes[at + 3];
  };
  if (bytes.size() < 8 || std::memcmp(bytes.data(), kSignature, 8) != 0)
    refuse(name, "does not start with a PNG's signature");
  // Keyword, 0, compression flag 0, method 0, empty language,
  // 0, empty translation, 0, then the text.
  const std::string_view head("haze\0\0\0\0\0", 9);
  for (std::size_t at = 8;;) {
    if (bytes.size() - at < 12) refuse(name, "the file ends early");
    const std::size_t length = big_endian(at);
    if (length > bytes.size() - at - 12) refuse(name, "a chunk is longer than the file");
    const std::string_view chunk(reinterpret_cast<const char*>(bytes.data()) + at + 4, 4 + length);
    const std::uint32_t crc = std::uint32_t(crc32_z(0, bytes.data() + at + 4, chunk.size()));
    if (crc != big_endian(at + 8 + length)) refuse(name, "a chunk's checksum is wrong");
    if (chunk.starts_with("IEND")) return std::nullopt;
    if (chunk.starts_with("iTXt") && chunk.substr(4).starts_with(head))
      return std::string(chunk.substr(4 + head.size()));
    at += 12 + length;
  }
}

}  // namespace haze::apps
