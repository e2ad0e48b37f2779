// SPDX-License-Identifier: MIT
// png_write.cpp — errors as in png_read.cpp: what owns something lives outside of setjmp's frame.
// libpng grows `bytes` through a callback; a vector that cannot grow must not throw through C.
#include <csetjmp>
#include <cstdio>
#include <png.h>

#include "apps/image/png.h"
#include "kernels/base/check.h"

namespace haze::apps {
namespace {

struct Writer {
  std::vector<std::uint8_t> bytes;
  char message[128] = "out of memory";
  std::jmp_buf escape;
  png_structp png = nullptr;
  png_infop info = nullptr;

  ~Writer() { png_destroy_write_struct(&png, &info); }
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* writer = static_cast<Writer*>(png_get_error_ptr(png));
  std::snprintf(writer->message, sizeof writer->message, "%s", message);
  std::longjmp(writer->escape, 1);
}

void on_warning(png_structp, png_const_charp) {}

bool append(std::vector<std::uint8_t>& bytes, const std::uint8_t* data, std::size_t n) noexcept {
  try {
    bytes.insert(bytes.end(), data, data + n);
    return true;
  } catch (...) {
    return false;
  }
}

void on_write(png_structp png, png_bytep data, png_size_t n) {
  if (!append(static_cast<Writer*>(png_get_io_ptr(png))->bytes, data, n))
    png_error(png, "out of memory");
}

void on_flush(png_structp) {}

bool write(Writer& w, const Image& image, const char* recipe) {
  if (setjmp(w.escape)) return false;
  w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, on_error, on_warning);
  if (!w.png || !(w.info = png_create_info_struct(w.png))) return false;
  png_set_write_fn(w.png, &w, on_write, on_flush);
  png_set_IHDR(w.png, w.info, png_uint_32(image.width), png_uint_32(image.height), 8,
               image.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (*recipe) {
    static char key[] = "haze", none[] = "";
    png_text text{};
    text.compression = PNG_ITXT_COMPRESSION_NONE;
    text.key = key;
    text.text = const_cast<char*>(recipe);  // only read
    text.lang = text.lang_key = none;
    png_set_text(w.png, w.info, &text, 1);
  }
  png_write_info(w.png, w.info);
  for (int y = 0; y < image.height; ++y)
    png_write_row(w.png, image.pixels.data() + std::size_t(y) * image.width * image.channels);
  png_write_end(w.png, w.info);
  return true;
}

}  // namespace

void check_png_size(std::int64_t height, std::int64_t width) {
  constexpr std::int64_t kMost = 1'000'000;  // PNG_USER_WIDTH_MAX and its like, as libpng is built
  if (height > kMost || width > kMost)
    throw InputError(cat("a picture of ", width, "x", height, " pixels; a PNG has at most ", kMost,
                         " on a side"));
}

std::vector<std::uint8_t> encode_png(const Image& image, const std::string& recipe) {
  HAZE_CHECK(image.channels == 1 || image.channels == 3, "channels=", image.channels);
  HAZE_CHECK(image.height >= 1 && image.width >= 1 &&
                 image.pixels.size() == std::size_t(image.height) * image.width * image.channels,
             image.height, "x", image.width, "x", image.channels, " in ", image.pixels.size(),
             " bytes");
  Writer w;
  if (!write(w, image, recipe.c_str())) throw RunError(cat("PNG: cannot be written: ", w.message));
  return std::move(w.bytes);
}

}  // namespace haze::apps
