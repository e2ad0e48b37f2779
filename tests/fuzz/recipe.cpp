// SPDX-License-Identifier: MIT
// Target: the text that haze keeps in its pictures. Input: a file whose chunks are walked by
// hand; and the same bytes as a text that is put into a picture and must come out again.
#include <algorithm>

#include "apps/image/png.h"
#include "tests/fuzz/errors.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/png_chunks.h"

namespace haze::fuzz {
namespace {

/// Keyword "haze", not compressed, no language, no translated keyword (W3C PNG, 11.3.3.4).
constexpr std::string_view kHead("haze\0\0\0\0\0", 9);

bool is_recipe(const Chunk& c) { return c.name == "iTXt" && text_of(c.content).starts_with(kHead); }

void one_input(Input input) {
  const auto found = accepted([&] { return apps::png_recipe(input, "file"); });
  const auto chunks = chunks_of(input, is_recipe);
  promise(bool(found) == bool(chunks), "accepted ", bool(found), ", should be ", bool(chunks));
  if (found) {
    const bool has = is_recipe(chunks->back());
    promise(bool(*found) == has, "a recipe found: ", bool(*found), ", is there: ", has);
    promise(!has || **found == text_of(chunks->back().content).substr(kHead.size()),
            "another text");
  }

  const std::string text = text_of(input);
  if (text.empty() || text.find('\0') != text.npos) return;
  const apps::Image image{2, 1, 3, {1, 2, 3, 250, 251, 252}};
  const auto png = apps::encode_png(image, text);
  promise(apps::png_recipe(png, "made") == text, "a recipe that does not come back");
  promise(apps::decode_png(png, "made").pixels == image.pixels, "a recipe changes the picture");
}

const Target kTarget("recipe", one_input);

}  // namespace
}  // namespace haze::fuzz
