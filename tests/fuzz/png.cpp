// SPDX-License-Identifier: MIT
// Target: PNG. Pictures of 8 bits a value without interlacing or a transparent colour are
// decoded once more by hand, from the W3C's text.
#include "apps/image/png.h"

#include <algorithm>
#include <cstdlib>

#include "tests/fuzz/errors.h"
#include "tests/fuzz/image_rules.h"
#include "tests/fuzz/png_chunks.h"

namespace haze::fuzz {
namespace {

/// The first `size` bytes that the IDAT chunks inflate to; fewer if there are no more.
Bytes inflated(const std::vector<Chunk>& chunks, std::size_t size) {
  Bytes packed, out(size);
  for (const Chunk& c : chunks)
    if (c.name == "IDAT") packed.insert(packed.end(), c.content.begin(), c.content.end());
  z_stream z{};
  inflateInit(&z);
  z.next_in = packed.data();
  z.avail_in = uInt(packed.size());
  z.next_out = out.data();
  z.avail_out = uInt(size);
  inflate(&z, Z_SYNC_FLUSH);
  out.resize(size - z.avail_out);
  inflateEnd(&z);
  return out;
}

int paeth(int a, int b, int c) {
  const int p = a + b - c, pa = std::abs(p - a), pb = std::abs(p - b), pc = std::abs(p - c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/// [height, 1 + row] with a filter's number before each row -> [height, row].
Bytes unfiltered(const Bytes& raw, std::size_t height, std::size_t row, std::size_t pixel) {
  Bytes out(height * row);
  for (std::size_t y = 0; y < height; ++y)
    for (std::size_t x = 0; x < row; ++x) {
      const auto at = [&](std::size_t dy, std::size_t dx) {
        return y < dy || x < dx ? 0 : int(out[(y - dy) * row + x - dx]);
      };
      const int a = at(0, pixel), b = at(1, 0), c = at(1, pixel);
      const int filter = raw[y * (row + 1)];
      const int guess[] = {0, a, b, (a + b) / 2, paeth(a, b, c)};
      promise(filter <= 4, "a filter ", filter, " was accepted");
      out[y * row + x] = std::uint8_t(raw[y * (row + 1) + 1 + x] + guess[filter]);
    }
  return out;
}

void check_pixels(const apps::Image& image, const std::vector<Chunk>& chunks) {
  const Input head = chunks[0].content;
  const int type = head[9];
  const bool transparent =
      std::ranges::any_of(chunks, [](const Chunk& c) { return c.name == "tRNS"; });
  if (head[8] != 8 || head[12] != 0 || type == 3 || transparent) return;
  const std::size_t colours = type & 2 ? 3 : 1, stored = colours + (type & 4 ? 1 : 0);
  const std::size_t height = std::size_t(image.height), row = std::size_t(image.width) * stored;
  const Bytes raw = inflated(chunks, height * (row + 1));
  promise(raw.size() == height * (row + 1), "a picture with rows missing was accepted");
  const Bytes pixels = unfiltered(raw, height, row, stored);
  promise(std::size_t(image.channels) == colours, "another number of channels");
  for (std::size_t i = 0; i < pixels.size() / stored; ++i)
    for (std::size_t c = 0; c < colours; ++c) {
      const double alpha = type & 4 ? pixels[i * stored + colours] / 255. : 1;
      const double want = pixels[i * stored + c] * alpha + 255 * (1 - alpha);
      promise(std::abs(image.pixels[i * colours + c] - want) <= 0.5 + 1e-9, "pixel ", i, " is ",
              int(image.pixels[i * colours + c]), ", want ", want);
    }
}

void one_input(Input input) {
  const auto image = decode_checked(input, [](Input bytes, const apps::SizeCheck& check) {
    return apps::decode_png(bytes, "file", check);
  });
  if (!image) return;
  const auto chunks = chunks_of(input);
  promise(bool(chunks), "a damaged frame was accepted");
  promise(chunks->front().name == "IHDR" && chunks->front().content.size() == 13, "no IHDR");
  const Input head = chunks->front().content;
  promise(std::size_t(image->width) == big_endian(head, 0) &&
              std::size_t(image->height) == big_endian(head, 4),
          "another size than IHDR's");
  promise(image->sixteen_bits == (head[8] == 16), "sixteen_bits is wrong");
  check_pixels(*image, *chunks);
  const apps::Image again = apps::decode_png(apps::encode_png(*image), "again");
  promise(again.pixels == image->pixels, "encoded and decoded it is another picture");
}

const Target kTarget("png", one_input);

}  // namespace
}  // namespace haze::fuzz
